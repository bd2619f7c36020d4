"""Held-out perturbations from a raw file to a report that says whether there is skill."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from gpo_vae_jax.config import SimulateConfig
from gpo_vae_jax.data import read_h5ad, simulate, write
from gpo_vae_jax.evaluate.main_numbers import main_table
from tests.running import call

SMALL = (
    "--config.train.max_epochs=3",
    "--config.model.n_latent=4",
    "--config.model.basal_encoder_n_hidden=8",
    "--config.model.decoder_n_hidden=8",
    "--config.train.batch_size=64",
)
FEW = (
    "--evaluate.effect_particles=50",
    "--evaluate.effect_cells=60",
    "--evaluate.iwelbo_particles=3",
    "--evaluate.quality_cells=10",
    "--evaluate.matched_edges=(5,10)",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a run whose split holds out 30 % of pairs and genes, as GEARS does."""
    folder = tmp_path_factory.mktemp("held_out")
    settings = SimulateConfig(n_cells=900, n_genes=40, n_perturbed=8, n_extended=4)
    settings = settings.__class__(**{**settings.__dict__, "double_fraction": 0.4, "seed": 3})
    write(simulate(settings), folder / "raw.h5ad")
    for command in (
        ("prepare", f"--input={folder / 'raw.h5ad'}", f"--output={folder / 'prepared.h5ad'}",
         "--prepare.split=gears"),
        ("train", f"--data.path={folder / 'prepared.h5ad'}", f"--workdir={folder / 'run'}", *SMALL),
    ):  # fmt: skip
        done = call(command[0], "--preset=anndata", *command[1:])
        assert done.status == 0, done.err
    done = call("evaluate", f"--workdir={folder / 'run'}", *FEW)
    assert done.status == 0, done.err
    return folder, done.out


def test_the_terminal_says_what_skill_there_is(run):
    folder, said = run
    unseen = json.loads((folder / "run/evaluation.json").read_text())["unseen"]
    assert set(unseen) > {"gene", "all"}
    for kind, scores in unseen.items():
        if kind != "all":
            assert f"Not in training, test cells: {scores['n_perturbations']} " in said
    verdicts = {scores["skill"]["verdict"] for scores in unseen.values()}
    assert verdicts <= {"skill", "unclear", "none"}
    if "none" in verdicts:
        assert "no skill" in said
    assert unseen["all"]["n_perturbations"] == sum(
        scores["n_perturbations"] for kind, scores in unseen.items() if kind != "all"
    )


def test_scores_are_of_test_cells_of_perturbations_that_no_training_cell_has(run):
    folder, _ = run
    obs = read_h5ad(folder / "prepared.h5ad").obs
    label, split = obs["perturbation"].astype(str), obs["split"].astype(str)
    held = set(label[split == "test"]) - set(label[split == "train"])
    table = pd.read_csv(folder / "run/perturbations.csv")
    of_test = table[table["cells_test"] > 0]
    assert set(of_test.loc[of_test["unseen"].notna(), "perturbation"]) == held
    assert (table.loc[table["unseen"].notna(), "cells_train"] == 0).all()
    assert table.loc[table["unseen"].isna(), "r_others_model"].isna().all()
    unseen = json.loads((folder / "run/evaluation.json").read_text())["unseen"]
    genes = of_test[of_test["unseen"] == "gene"]
    assert unseen["gene"]["n_perturbations"] == len(genes)
    assert unseen["gene"]["model"]["pearson_others"] == pytest.approx(
        genes["r_others_model"].mean(), abs=1e-4
    )
    assert unseen["gene"]["additive"]["pearson"] is None  # no single effect to add up
    assert unseen["gene"]["global_mean"]["rank"] == pytest.approx(0.5)


def test_other_metrics_are_of_perturbations_with_training_cells(run):
    """Otherwise the model is scored on perturbations that the training mean cannot predict."""
    folder, _ = run
    effects = read_h5ad(folder / "run/effects.h5ad")
    seen = effects.obs["cells_train"].to_numpy() > 0
    both = [effects.layers[name][seen] for name in ("held_out_perturbseq", "model_perturbseq")]
    known = np.isfinite(both[0]).all(axis=1)
    r = np.corrcoef(both[0][known].ravel(), both[1][known].ravel())[0, 1]
    scores = json.loads((folder / "run/evaluation.json").read_text())["effects"]
    assert scores["perturbseq"]["held_out"]["model"]["pearson"] == pytest.approx(r, abs=1e-5)


def test_the_main_table_lists_them_with_their_kind(run):
    folder, _ = run
    summary = json.loads((folder / "run/evaluation.json").read_text())
    table = main_table(summary)
    rows = table[table["cells"] == "genes that no training cell perturbs"]
    assert set(rows["metric"]) == {"pearson", "pearson_others", "rank", "de_overlap"}
    ranks = rows[rows["metric"] == "rank"].set_index("source")["value"]
    assert ranks["network"] == summary["unseen"]["gene"]["model"]["rank"]
    assert set(rows.loc[rows["metric"] == "rank", "better"]) == {"lower"}


def test_the_report_has_a_section_with_a_plot(run):
    folder, said = run
    page = (folder / "run/report.html").read_text()
    assert "Perturbations that training has not seen" in page
    for name in ("unseen", "unseen_each"):
        assert imread(folder / f"run/plots/{name}.png")[..., :3].std() > 0.01
    sentence = re.search(r"genes? that no training cell perturbs: [^.:]+", page)
    assert sentence and sentence.group(0)[:30] in " ".join(said.split())
