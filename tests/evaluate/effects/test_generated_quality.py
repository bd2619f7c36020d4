"""The share of good cells that the data's quality control would pass."""

import dataclasses

import numpy as np
import pytest

from gpo_vae_jax import data
from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.effects.generated_quality import quality_ratio
from gpo_vae_jax.predict.library_sizes import observed_library_sizes
from gpo_vae_jax.types import Conventions
from tests import builders
from tests.evaluate.effects.test_model_effects import GENES, make

SETTINGS = EvaluateConfig(quality_cells=30, library_size=400.0)


def dataset_with(limits):
    return dataclasses.replace(
        make(), conventions=Conventions(symbols=tuple(GENES), quality_limits=limits)
    )


@pytest.fixture(scope="module")
def trained():
    return builders.make_model(make().sizes)


def ratio(trained, dataset, settings):
    return quality_ratio(trained.params, dataset, settings, spec=trained.spec)


def test_limits_decide(trained):
    """A library of 400 counts varies around 400; one limit is below, one above all cells."""
    limits = {
        "3": {"UMI_count": 400.0},
        "4": {"UMI_count": 1.0, "ngenes": 1.0},
        "5": {"UMI_count": 1e6},
    }
    found = ratio(trained, dataset_with(limits), SETTINGS)
    assert set(found) == {"reference", "observed"}
    assert found["reference"]["4"] == 1 and found["reference"]["5"] == 0
    assert 0.1 < found["reference"]["3"] < 0.9
    assert found["observed"]["3"] < found["reference"]["3"]  # observed libraries are smaller


def test_data_without_limits(trained):
    assert ratio(trained, dataset_with({}), SETTINGS) == {}
    assert ratio(trained, dataset_with({"3": {}}), SETTINGS) == {}


def test_observed_library_sizes_are_those_of_good_training_cells():
    dataset = make()
    cells = dataset.splits["train"].cells
    good = cells.library_size[cells.qc_fail[:, 0] == 0]
    drawn = observed_library_sizes(dataset, (40, 50), 0)
    assert drawn.shape == (40, 50)
    assert set(np.unique(drawn)) == set(good.astype(np.float32))


def test_low_counts_and_high_shares_fail():
    symbols = ("MT-CO1", "RPL3", "A", "B")
    counts = np.array([[0, 0, 10, 10], [9, 0, 10, 10], [0, 0, 1, 0], [1, 0, 9, 10]])
    limits = {
        "3": {"UMI_count": 5.0, "ngenes": 2.0, "pct_counts_mt": 5.0},
        "4": {"ngenes": 2.0},
        "5": {"UMI_count": 20.0, "pct_counts_mt": 5.0},
    }
    passed = data.passed_by_limits(counts, symbols, limits)
    assert {mads: good.tolist() for mads, good in passed.items()} == {
        "3": [True, False, False, True],
        "4": [True, True, False, True],
        "5": [True, False, False, True],  # exactly at a limit passes, as in the data
    }
