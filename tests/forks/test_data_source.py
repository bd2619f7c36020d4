"""The recipe for other data: a function that returns a Dataset, built by `data.from_arrays`."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.train.training import train
from tests.forks.table_source import dataset_of_tables
from tests.train.conftest import TINY

GENES = ["STAT1", "IRF1", "MYC", "GAPDH", "ACTB", "B2M", "JUN", "FOS"]


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(0)
    names = [f"cell{i}" for i in range(120)]
    label = np.array(["control", "IRF1", "STAT1"])[np.arange(120) % 3]
    counts = pd.DataFrame(rng.poisson(5.0, (120, len(GENES))), index=names, columns=GENES)
    for gene in ("IRF1", "STAT1"):
        counts.loc[label == gene, gene] //= 5
    split = np.array(["train", "train", "train", "val", "test"])[np.arange(120) // 3 % 5]
    cells = pd.DataFrame({"gene": label, "split": split, "failed": rng.random(120) < 0.2})
    return dataset_of_tables(counts, cells, "control")


def test_the_dataset_says_what_the_tables_say(dataset):
    assert dataset.treatments == ("IRF1", "STAT1") and dataset.genes == tuple(GENES)
    assert dataset.label_genes == {"control": (), "IRF1": ("IRF1",), "STAT1": ("STAT1",)}
    train_cells = dataset.splits["train"].cells
    of_irf1 = dataset.labels["train"] == "IRF1"
    np.testing.assert_array_equal(
        (train_cells.dosage * (train_cells.perturbation == 0)).sum(axis=1), of_irf1
    )
    assert train_cells.delta[of_irf1, 0].mean() > train_cells.delta[~of_irf1, 0].mean()


def test_it_trains(dataset):
    settings = dataclasses.replace(TINY.train, max_epochs=2)
    trained = train(dataset, dataclasses.replace(TINY, train=settings))
    assert len(trained.history) == 2 and np.isfinite(trained.history["val_loss"]).all()
    assert trained.treatments == dataset.treatments
