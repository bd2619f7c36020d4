"""Predictions: the perturbations that can be named, and the AnnData that comes out."""

import dataclasses
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.model.trained import Member, Trained
from gpo_vae_jax.predict.perturbation_names import read_perturbations
from gpo_vae_jax.predict.predicted_cells import RECORD, PredictionRequest, predict_cells
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Conventions, Dataset
from tests import builders
from tests.evaluate.effects.test_model_effects import GENES, make


class Run(NamedTuple):
    trained: Trained
    dataset: Dataset


@pytest.fixture(scope="module")
def run():
    conventions = Conventions(aliases={"ENSG01": "A"}, symbols=tuple(GENES))
    dataset = dataclasses.replace(make(), conventions=conventions)
    config = builders.configure()
    params = builders.make_params(np.random.default_rng(0), Spec.of(config, dataset.sizes))
    member = Member(0, params, 1.0, 0, 1, pd.DataFrame())
    description = {"data": {"fingerprint": "f"}}
    trained = Trained(
        config, dataset.sizes, dataset.treatments, dataset.genes, (member,), description
    )
    return Run(trained, dataset)


def predict(run, words, **request):
    return predict_cells(run.trained, run.dataset, words, PredictionRequest(**request))


def read(run, *words, **settings):
    return read_perturbations(words, run.dataset, **settings)


@pytest.mark.parametrize(
    ("word", "label", "kind"),
    [
        ("A", "A", "observed"),
        ("7", "7", "observed"),
        ("B+A", "A+B", "observed"),
        ("ENSG01+B", "A+B", "observed"),
        ("B + 7", "7+B", "combination of observed"),
        ("G9", "G9", "unseen gene"),
        ("A+G9", "A+G9", "combination with an unseen gene"),
        ("A+non-targeting", "A", "observed"),
        ("non-targeting", "non-targeting", "control"),
    ],
)
def test_what_a_perturbation_is(run, word, label, kind):
    (found,) = read(run, word)
    assert (found.label, found.kind) == (label, kind)


def test_training_cells_decide_what_was_observed(run):
    labels = dict(run.dataset.labels)
    labels["train"] = np.where(labels["train"] == "A", "A+B", labels["train"])
    held = dataclasses.replace(run.dataset, labels=labels)
    assert read_perturbations(["A"], held)[0].kind == "observed, but not in training cells"
    gone = {name: np.where(of == "A", "A+B", of) for name, of in labels.items()}
    combined = dataclasses.replace(run.dataset, labels=gone)
    assert read_perturbations(["A"], combined)[0].kind == "observed in combinations only"
    assert read(run, "A", masked=("A",))[0].kind == "unseen gene"


def test_a_gene_in_no_training_cell_is_unseen_though_the_data_has_it():
    def hold_out(counts, split, label):
        split[label == "7"] = "test"

    held = make(change=hold_out)
    kinds = [one.kind for one in read_perturbations(["7", "A+7", "A"], held)]
    assert kinds == ["unseen gene", "combination with an unseen gene", "observed"]


def test_all_is_every_perturbation_of_the_data(run):
    labels = [one.label for one in read(run, "G9", "all", "A")]
    assert labels == ["G9", "7", "A", "A+B", "B"]
    called = dataclasses.replace(run.dataset, conventions=Conventions(aliases={"all": "A"}))
    assert [one.label for one in read_perturbations(["all"], called)] == ["A"]


def test_names_that_are_never_joined():
    whole = dataclasses.replace(make(), conventions=Conventions(separator=""))
    assert [one.label for one in read_perturbations(["A", "B+A"], whole)] == ["A", "A+B"]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("A+A", "names 'A' twice"),
        ("A+ENSG01", "names 'A' twice"),
        ("g9", "did you mean 'G9'"),
        ("ENSG01.3", "did you mean 'ENSG01'"),
        ("G8", "known names: 7, A, B, ENSG01, G9, non-targeting \\(the control is 'non-targeting'"),
        ("b", "did you mean 'B'"),
        ("A+b", "'b' is no treatment .* did you mean 'B'"),
        ("ENSG02", "the nearest: ENSG01; known names: 7"),
        ("Non_Targeting", "did you mean 'non-targeting'"),
        ("ctrl", "'ctrl' is no treatment .*\\(the control is 'non-targeting'\\)"),
        ("A+control", "'control' is no treatment .*\\(the control is 'non-targeting'\\)"),
        ("G1", "is measured, but it is none of the 4 treatments"),
        ("+", "without a name"),
    ],
)
def test_mistakes_are_named(run, word, says):
    with pytest.raises(DataError, match=says.replace("+", r"\+")):
        read(run, word)


def test_sampled_cells(run):
    adata = predict(run, ["B", "B+7", "B"], n_cells=6, library_size=300.0)
    assert sparse.issparse(adata.X) and adata.shape == (18, len(GENES))
    assert list(adata.obs["target_gene"].unique()) == ["B", "7+B", "non-targeting"]
    assert adata.obs["target_gene"].equals(adata.obs["perturbation"].rename("target_gene"))
    assert adata.obs_names.is_unique and (adata.obs["library_size"] == 300).all()
    assert list(adata.var_names) == GENES and list(adata.var["symbol"]) == GENES
    assert list(adata.var_names[adata.var["perturbed_in_data"]]) == ["A", "B", "7"]
    assert adata.uns[RECORD]["n_cells"] == 6
    alone = predict(run, ["B"], n_cells=6, library_size=300.0, control=False)
    np.testing.assert_array_equal(alone.X.toarray(), adata.X[:6].toarray())


def test_expected_counts_are_what_sampled_cells_average_to(run):
    n = 3000
    sampled = predict(run, ["A"], n_cells=n, library_size=400.0)
    expected = predict(run, ["A"], n_cells=n, library_size=400.0, expected=True)
    assert list(expected.obs_names) == ["A", "non-targeting"]
    for name in expected.obs_names:
        cells = sampled[sampled.obs["target_gene"] == name].X.toarray()
        error = cells.std(0) / np.sqrt(n)
        assert (np.abs(cells.mean(0) - expected[name].X) < 5 * error).all()
        assert (expected[name].layers["sd"] < cells.std(0)).all()  # no noise of counts in it


def test_bad_quality_and_observed_library_sizes(run):
    good, bad = (
        predict(run, ["A"], n_cells=9, failed=failed, library_size=None) for failed in (False, True)
    )
    assert (bad.obs["quality"] == "bad").all() and bad.uns[RECORD]["library_size"] == "observed"
    assert (good.X != bad.X).nnz
    sizes = good.obs["library_size"].to_numpy()
    np.testing.assert_array_equal(sizes[:9], sizes[9:])  # cell i of all has one library size
    assert set(sizes) <= set(run.dataset.splits["train"].cells.library_size)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"n_cells": 0}, "n_cells=0 must be at least 1"),
        ({"library_size": 0}, "library_size=0 must be a positive number"),
        ({"library_size": "many"}, "library_size='many' must be a positive number, or 'observed'"),
        ({"quality": "fine"}, "quality='fine' must be 'good' or 'bad'"),
        ({"seed": -1}, "seed=-1 must be between"),
    ],
)
def test_a_request_out_of_range_is_refused(values, says):
    with pytest.raises(ConfigError, match=says):
        PredictionRequest.checked(**values)


def test_data_of_another_model_is_refused(run):
    fewer = dataclasses.replace(run.dataset, genes=run.dataset.genes[:-1])
    with pytest.raises(DataError, match="other genes than the model was trained on, such as 'G9'"):
        predict_cells(run.trained, fewer, ["A"], PredictionRequest())
    turned = dataclasses.replace(run.dataset, genes=run.dataset.genes[::-1])
    with pytest.raises(DataError, match=r"other genes .* in another order"):
        predict_cells(run.trained, turned, ["A"], PredictionRequest())
