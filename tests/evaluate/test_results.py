"""What a notebook sees of an evaluation, and the files it leaves."""

import dataclasses
import json

import anndata
import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.evaluate.effects.effect_table import perturbation_table
from gpo_vae_jax.evaluate.file_names import possible_outputs
from gpo_vae_jax.evaluate.files_out import write_files
from gpo_vae_jax.evaluate.main_numbers import verdict_on_effects
from gpo_vae_jax.evaluate.summary_numbers import entries


def test_the_table_is_tidy_and_equals_the_summary(evaluation):
    table = evaluation.table
    assert list(table.columns) == ["metric", "label", "cells", "source", "value", "better"]
    found = table.set_index(["metric", "cells", "source"])["value"]
    effects = evaluation.summary["effects"]["perturbseq"]
    assert found["pearson", "test cells", "network"] == effects["held_out"]["model"]["pearson"]
    assert found["r2", "all cells", "half vs half"] == effects["reference"]["ceiling"]["r2"]
    assert found["run.best_loss", "", "model"] == 1.5
    assert not table.duplicated(["metric", "cells", "source"]).any()
    better = table.drop_duplicates("metric").set_index("metric")["better"]
    assert better[["pearson", "run.best_loss", "network.n_edges"]].tolist() == [
        "higher",
        "lower",
        "",
    ]


def test_it_introduces_itself_briefly(evaluation):
    assert repr(evaluation).startswith("Evaluation('small': 4 perturbations, 8 genes; the ")
    assert len(repr(evaluation)) < 250
    page = evaluation._repr_html_()
    assert "training mean" in page
    assert len(page) < 3000


def test_nothing_of_a_run_folder_is_needed(evaluation):
    run = evaluation.summary["run"]
    assert run["workdir"] is None
    assert run["device"] is None
    assert evaluation.history is None


def test_effects_are_an_anndata_with_the_network_by_name(evaluation):
    effects = evaluation.to_anndata()
    assert effects.shape == (4, 8)
    np.testing.assert_allclose(effects.X, evaluation.effects.model["perturbseq"], rtol=1e-6)
    source, target = evaluation.treatments[:2]
    placed = pd.DataFrame(
        effects.varp["grn_probability"].toarray(), effects.var_names, effects.var_names
    )
    assert placed.loc[source, target] == pytest.approx(evaluation.probabilities[0, 1], rel=1e-6)
    assert not effects.varp["grn_edge"].diagonal().any()
    assert {"reference_perturbseq", "held_out_perturbseq", "spread_mean"} <= set(effects.layers)
    assert (effects.obs["cells_test"] > 0).all()


def test_perturbations_are_listed_from_the_worst(evaluation, dataset):
    table = evaluation.perturbations
    assert sorted(table["perturbation"]) == ["7", "A", "A+B", "B"]
    assert table["r_model"].is_monotonic_increasing
    row = table.set_index("perturbation").loc["A+B"]
    effects = evaluation.effects
    at = effects.labels.index("A+B")
    own = [effects.genes.index(gene) for gene in ("A", "B")]
    model, observed = effects.model["perturbseq"][at], effects.held_out["perturbseq"][at]
    assert row["r_model"] == pytest.approx(np.corrcoef(model, observed)[0, 1])
    assert row["own_gene_observed"] == pytest.approx(observed[own].mean())
    assert row["own_gene_observed"] < -0.5  # knocked down
    assert row["own_gene_predicted"] == pytest.approx(model[own].mean())
    assert row["cells_test"] == (dataset.labels["test"] == "A+B").sum()


def test_a_perturbation_without_test_cells_or_own_gene_has_nan(evaluation):
    effects = evaluation.effects
    hidden = effects.held_out["perturbseq"].copy()
    hidden[0] = np.nan
    held_out = {**effects.held_out, "perturbseq": hidden}
    table = perturbation_table(dataclasses.replace(effects, held_out=held_out), {"A": ("gone",)})
    last = table.iloc[-1]
    assert last["perturbation"] == effects.labels[0]
    assert np.isnan(last["r_model"])
    assert table["own_gene_predicted"].isna().all()


def test_the_files_are_those_that_are_named(evaluation, tmp_path):
    paths = write_files(tmp_path, evaluation)
    assert sorted(tmp_path.iterdir()) == sorted(paths) == sorted(possible_outputs(tmp_path))

    def refuse(text):
        raise AssertionError(f"{text} is no JSON")

    text = (tmp_path / "evaluation.json").read_text()
    found = json.loads(text, parse_constant=refuse)
    assert found["settings"]["effect_particles"] == 40
    rows = pd.read_csv(tmp_path / "evaluation.csv", dtype=str).set_index("metric")
    assert list(rows.index) == [path for path, _ in entries(found)]
    path = "effects.perturbseq.held_out.model.pearson"
    assert float(rows.loc[path, "value"]) == pytest.approx(
        evaluation.summary["effects"]["perturbseq"]["held_out"]["model"]["pearson"], rel=1e-4
    )
    assert rows.loc[path, "label"] == "Pearson r, test cells, network"
    assert rows.loc["network.all.false_omission_rate", "better"] == "lower"
    assert len(pd.read_csv(tmp_path / "perturbations.csv")) == 4
    assert len(pd.read_csv(tmp_path / "known_networks.csv")) == 4  # KNOWN, union; block, all
    assert anndata.read_h5ad(tmp_path / "effects.h5ad").shape == (4, 8)


@pytest.mark.parametrize(
    ("model", "train_mean", "says"),
    [
        (0.6, 0.5, "the model predicts effects on test cells better than the training mean "),
        (0.4, 0.5, "the training mean predicts effects on test cells better than the model "),
        (0.5, 0.5, "the model and the training mean predict effects on test cells equally well"),
        (0.6, None, "the model predicts effects on test cells at r 0.600"),
        (float("nan"), 0.5, ""),
    ],
)
def test_the_verdict_is_in_words(model, train_mean, says):
    values = {"model": {"pearson": model}, "train_mean": {"pearson": train_mean}}
    verdict = verdict_on_effects({"effects": {"perturbseq": {"held_out": values}}})
    assert verdict.startswith(says)
    assert bool(verdict) == bool(says)
