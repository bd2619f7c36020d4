"""The public face, as a notebook uses it: in memory, and equal to the way through folders."""

import dataclasses
import subprocess
import sys
import warnings

import anndata
import jax
import numpy as np
import pandas as pd
import pytest

import gpo_vae_jax as gv
from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.network import edge_calls
from gpo_vae_jax.predict.predicted_cells import PredictionRequest
from gpo_vae_jax.runs.evaluated import evaluate_run
from gpo_vae_jax.runs.fit import fit
from gpo_vae_jax.runs.predicted import predict_to_file
from tests.forms import same_on_a_cpu
from tests.train.conftest import TINY

FEW = {
    "effect_particles": 40,
    "iwelbo_particles": 3,
    "quality_cells": 5,
    "omission_pairs": 20,
    "matched_edges": (5,),
    "top": 5,
    "top_sets": (5,),
}


@pytest.fixture(scope="module")
def prepared():
    raw = gv.simulate(n_cells=400, n_genes=24, n_perturbed=4, n_extended=1, seed=3)
    before = raw.X.copy()
    made = gv.prepare(
        raw,
        perturbation_key="perturbation",
        control="non-targeting",
        extended_genes="none",
        progress=False,
    )
    assert (before != raw.X).nnz == 0, "the input is left as it is"
    return made


@pytest.fixture(scope="module")
def config():
    train = dataclasses.replace(TINY.train, max_epochs=3, batch_size=64)
    return dataclasses.replace(TINY, name="small", train=train)


@pytest.fixture(scope="module")
def trained(prepared, config):
    return gv.train(prepared, config, seeds=(0, 1), progress=False)


@pytest.fixture(scope="module")
def result(trained, prepared):
    return gv.evaluate(trained, prepared, **FEW)


@pytest.fixture(scope="module")
def folder(prepared, config, tmp_path_factory):
    """Return the run folder of the first seed, trained and evaluated the way commands do it."""
    root = tmp_path_factory.mktemp("runs")
    prepared.write_h5ad(root / "prepared.h5ad")
    data = dataclasses.replace(config.data, path=str(root / "prepared.h5ad"))
    config = dataclasses.replace(config, data=data)
    fit(gv.dataset(root / "prepared.h5ad"), config, root / "run", progress=False)
    return root / "run"


def equal(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_every_public_name_is_there_and_documented():
    assert set(gv.__all__) < set(dir(gv))
    for name in gv.__all__:
        assert getattr(gv, name).__doc__, name


def test_importing_a_room_hides_no_function():
    """The rooms train, predict and evaluate are named as the functions are."""
    code = (
        "import gpo_vae_jax.evaluate.metrics\n"
        "from gpo_vae_jax.train.optimizer import make_optimizer\n"
        "import gpo_vae_jax as gv\n"
        "assert callable(gv.train) and callable(gv.predict) and callable(gv.evaluate)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@same_on_a_cpu
def test_one_or_many_seeds(trained, prepared, config):
    assert [member.seed for member in trained.members] == [0, 1]
    assert set(trained.history["seed"]) == {0, 1} and len(trained.history) == 6
    assert "seeds 0, 1" in repr(trained)
    single = gv.train(gv.dataset(prepared), config, seeds=1, progress=False)
    equal(single.params, trained[1].params)
    assert [one.best.seed for one in trained] == [0, 1]


@same_on_a_cpu
def test_a_run_folder_holds_what_training_in_memory_returns(trained, folder):
    loaded = gv.load(folder)
    equal(loaded.params, trained[0].params)
    history = trained[0].best.history.drop(columns="seconds")
    pd.testing.assert_frame_equal(loaded.best.history.drop(columns="seconds"), history)
    assert (loaded.treatments, loaded.genes) == (trained.treatments, trained.genes)


@same_on_a_cpu
def test_evaluation_in_memory_equals_that_by_folder(trained, prepared, folder):
    ours = gv.evaluate(trained[0], prepared, **FEW)
    theirs, paths = evaluate_run(folder, EvaluateConfig(**FEW), progress=False)
    for part in ours.summary:
        if part != "run":
            assert repr(ours.summary[part]) == repr(theirs.summary[part]), part
    np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
    equal(ours.effects.model, theirs.effects.model)
    assert paths[-1].name == "report.html" and all(path.exists() for path in paths)


def test_test_cells_are_predicted_by_the_best_member(trained, prepared):
    pair = gv.predict_test_cells(trained, prepared, seed=2)
    best = gv.predict_test_cells(
        dataclasses.replace(trained, members=(trained.best,)), prepared, seed=2
    )
    assert (pair.predicted.X != best.predicted.X).nnz == 0
    label = prepared.obs.loc[pair.real.obs_names, "perturbation"].astype(str)
    assert list(label) == list(pair.real.obs["target_gene"])


def test_prediction_in_memory_equals_that_by_folder(trained, prepared, folder, tmp_path):
    a, b = trained.treatments[:2]
    words = [a, f"{a}+{b}"]
    ours = gv.predict(trained[0], prepared, words, n_cells=7, library_size="observed")
    request = PredictionRequest(n_cells=7, library_size=None)
    predict_to_file(folder, words, tmp_path / "cells.h5ad", request)
    theirs = anndata.read_h5ad(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(ours.X.toarray(), theirs.X.toarray())
    assert list(ours.obs_names) == list(theirs.obs_names)
    assert list(ours.obs["perturbation"].unique()) == [a, f"{a}+{b}", "non-targeting"]


def test_the_best_member_predicts_and_is_evaluated(trained, result, prepared):
    assert result.summary["run"]["seed"] == trained.best.seed
    assert result.summary["run"]["data"]["path"] == "in memory"
    name = trained.treatments[0]
    chosen = trained[[m.seed for m in trained.members].index(trained.best.seed)]
    ours, theirs = (
        gv.predict(one, prepared, name, n_cells=3, expected=True) for one in (trained, chosen)
    )
    np.testing.assert_array_equal(ours.X, theirs.X)


def test_the_network_of_one_member_and_of_several(trained):
    single = gv.network(trained[0])
    n = len(trained.treatments)
    assert len(single) == n * (n - 1), "every pair of different genes"
    assert single["probability"].is_monotonic_decreasing
    both = gv.network(trained)
    each = [
        gv.network(one).set_index(["source", "target"])["probability"].sort_index()
        for one in trained
    ]
    indexed = both.set_index(["source", "target"]).sort_index()
    np.testing.assert_allclose(indexed["probability"], (each[0] + each[1]) / 2, rtol=1e-6)
    np.testing.assert_allclose(
        indexed["probability_sd"], np.abs(each[0] - each[1]) / np.sqrt(2), atol=1e-7
    )
    assert (indexed["n_called"] == sum((one > 0.5).astype(int) for one in each)).all()
    median = both["probability"].median()
    above = gv.network(trained, threshold=median)
    assert len(above) == (both["probability"] > median).sum()


def test_edges_called_at_an_expected_rate(trained, monkeypatch):
    """The calls of several members are those of the mean of their posteriors."""
    monkeypatch.setattr(edge_calls, "_LEAST", 0.0)  # an untrained network is sure of nothing
    every = gv.network(trained, fdr=1.0)
    judged = every[every["source_perturbed"]]
    assert len(every) == len(judged) > 0
    stated = judged["posterior"].sort_values(ascending=False)
    rate = float((1 - stated.head(5)).mean()) + 1e-9
    called = gv.network(trained, fdr=rate)
    assert (1 - called["posterior"]).mean() <= rate and len(called) >= 5
    assert (
        called["posterior"].min()
        > judged["posterior"].drop_duplicates().nlargest(len(called) + 1).min()
    )
    assert (called["rank"] == np.arange(1, len(called) + 1)).all()


@pytest.mark.parametrize("which", [slice(0, 1), slice(0, 2)], ids=["one seed", "two seeds"])
def test_saving_and_loading_loses_nothing(trained, which, tmp_path):
    chosen = dataclasses.replace(trained, members=trained.members[which])
    gv.save(chosen, tmp_path / "mine")
    again = gv.load(tmp_path / "mine")
    assert len(again) == len(chosen)
    for ours, theirs in zip(again.members, chosen.members, strict=True):
        equal(ours.params, theirs.params)
        pd.testing.assert_frame_equal(ours.history, theirs.history)
        for field in ("seed", "best_loss", "best_epoch", "n_epochs", "interrupted"):
            assert getattr(ours, field) == getattr(theirs, field)
    with pytest.raises(gv.TrainingError, match="already holds a run"):
        gv.save(chosen, tmp_path / "mine")
    gv.save(chosen, tmp_path / "mine", overwrite=True)


def test_a_saved_model_is_not_resumed_as_if_it_were_new(trained, prepared, config, tmp_path):
    gv.save(trained[0], tmp_path / "mine")
    with pytest.raises(gv.TrainingError, match="without the state of its optimiser"):
        fit(gv.dataset(prepared), config, tmp_path / "mine", resume=True, progress=False)


def test_report_and_comparison(trained, prepared, result, tmp_path):
    page = gv.report(result, tmp_path / "report")
    assert page.name == "report.html" and (tmp_path / "report/effects.h5ad").exists()
    gv.save(trained[0], tmp_path / "report")  # a model may be saved beside its report
    assert page.exists() and gv.load(tmp_path / "report").best.seed == 0
    other = gv.evaluate(trained[1 - trained.best.seed], prepared, **FEW)
    found = gv.compare([result, other])
    assert len(found.metrics) and len(found.edges)
    with pytest.raises(gv.ConfigError, match="one seed"):
        gv.compare([result, result])


def test_mistakes_are_named(trained, prepared):
    with pytest.raises(gv.ConfigError, match="min_cels: no such setting; did you mean 'min_cells'"):
        gv.prepare(prepared, min_cels=3)
    with pytest.raises(gv.ConfigError, match=r"evaluate\.tops"):
        gv.evaluate(trained, prepared, tops=3)
    with pytest.raises(gv.DataError, match="NOSUCH"):
        gv.predict(trained, prepared, ["NOSUCH"])
    with pytest.raises(gv.DataError, match="not prepared"):
        gv.train(anndata.AnnData(np.ones((4, 3), np.float32)))
    with pytest.raises(gv.ConfigError, match="threshold"):
        gv.network(trained, threshold=2)
    with pytest.raises(gv.ConfigError, match="fdr=2 must be between 0 and 1"):
        gv.network(trained, fdr=2)
    with pytest.raises(gv.ConfigError, match="give one"):
        gv.network(trained, threshold=0.5, fdr=0.1)


def test_raw_files_and_mudata_are_prepared_alike(tmp_path):
    mudata = pytest.importorskip("mudata")
    raw = gv.simulate(n_cells=200, n_genes=20, n_perturbed=3, n_extended=1)
    raw.write_h5ad(tmp_path / "raw.h5ad")
    want = gv.prepare(raw, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mdata = mudata.MuData({"rna": raw})
    for given in (tmp_path / "raw.h5ad", str(tmp_path / "raw.h5ad"), mdata):
        got = gv.prepare(given, progress=False)
        np.testing.assert_array_equal(got.obsm["delta_x"], want.obsm["delta_x"])
    halves = []
    for name, part in (("a", raw[:90]), ("b", raw[90:])):
        part.write_h5ad(tmp_path / f"{name}.h5ad")
        halves.append(tmp_path / f"{name}.h5ad")
    joined = gv.prepare(halves, progress=False)
    np.testing.assert_array_equal(joined[want.obs_names].obsm["delta_x"], want.obsm["delta_x"])


def test_controls_may_be_a_list_or_a_pattern():
    raw = gv.simulate(n_cells=200, n_genes=20, n_perturbed=3, n_extended=1)
    want = gv.prepare(raw, progress=False)
    names = [f"X{i % 3}" if x == "non-targeting" else x for i, x in enumerate(raw.obs.perturbation)]
    raw.obs["perturbation"] = names
    for control in (["X0", "X1", "X2"], ["X*"], "X?", ("X0", "X?")):
        got = gv.prepare(raw, control=control, progress=False)
        np.testing.assert_array_equal(got.obsm["delta_x"], want.obsm["delta_x"])
