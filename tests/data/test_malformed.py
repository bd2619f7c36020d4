"""Unusable input raises a clear DataError, and nothing is written."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from gpo_vae_jax.config import PrepareConfig, SimulateConfig
from gpo_vae_jax.data import from_anndata, load, prepare, simulate, write
from gpo_vae_jax.errors import DataError

CONTROL = "non-targeting"


def raw(n=200):
    rng = np.random.default_rng(0)
    label = np.tile(["A", "B", CONTROL, CONTROL], n // 4)
    obs = pd.DataFrame({"perturbation": label}, index=[f"c{i}" for i in range(n)])
    var = pd.DataFrame(index=list("ABCD"))
    return anndata.AnnData(sparse.csr_matrix(rng.poisson(5.0, (n, 4)), dtype=float), obs, var)


def with_value(value):
    def change(adata):
        adata.X.data[3] = value
        return adata

    return change


def with_labels(values):
    def change(adata):
        adata.obs["perturbation"] = values(adata.obs["perturbation"].to_numpy().astype(object))
        return adata

    return change


def with_repeated_cell(adata):
    names = list(adata.obs_names)
    names[1] = names[0]
    return anndata.AnnData(adata.X, obs=adata.obs.set_axis(names), var=adata.var)


def without_controls_in_test(adata):
    adata.obs["fold"] = np.tile(["train", "val", "train", "val"], 50)
    adata.obs.loc[["c0", "c1"], "fold"] = "test"
    adata.obs.loc[["c3", "c7"], "fold"] = "train"
    return adata


def rename(label, new):
    return with_labels(lambda values: np.where(values == label, new, values))


CASES = {
    "not integers": (with_value(0.5), {}, "not whole numbers"),
    "nan": (with_value(np.nan), {}, "NaN"),
    "infinite": (with_value(np.inf), {}, "infinite"),
    "negative": (with_value(-2), {}, "negative"),
    "no cells": (lambda a: a[:0].copy(), {}, "empty: 0 cells"),
    "no genes": (lambda a: a[:, :0].copy(), {}, "0 genes"),
    "no column": (lambda a: a, {"perturbation_key": "guide"}, "no column 'guide'.*perturbation"),
    "no control": (rename(CONTROL, "NTC_control"), {}, "look like one: NTC_control"),
    "nothing like a control": (rename(CONTROL, "C"), {}, "no label looks like one"),
    "labels missing": (
        with_labels(lambda values: np.where(values == "A", None, values)),
        {},
        "missing in 50 cells",
    ),
    "numbers as labels": (
        with_labels(lambda values: np.arange(len(values)) / 7),
        {},
        "no control cells|has numbers",
    ),
    "cell names": (with_repeated_cell, {}, "cell names are not unique: c0"),
    "no layer": (lambda a: a, {"layer": "counts"}, "no layer 'counts'"),
    "no split column": (lambda a: a, {"split_key": "fold"}, "split_key.*no column 'fold'"),
    "unknown split": (lambda a: a, {"split_key": "perturbation"}, "'train', 'val' or 'test'"),
    "no control in test": (
        without_controls_in_test,
        {"split_key": "fold"},
        "'test' has no control",
    ),
    "nothing measured": (
        with_labels(lambda values: np.where(values == CONTROL, CONTROL, "ENSG1")),
        {},
        "no perturbation of a measured gene is left.*ENSG1",
    ),
    "too few cells": (lambda a: a, {"min_cells": 50}, "gene is left.*relax the filters"),
    "only controls": (
        with_labels(lambda values: np.full(len(values), CONTROL)),
        {},
        "is left.*has only control",
    ),
    "too few for splits": (lambda a: a[[0, 2]].copy(), {}, "gene is left.*minimum cells"),
    "no counts": (lambda a: anndata.AnnData(a.X * 0, a.obs, a.var), {}, "every count is 0"),
}


@pytest.mark.filterwarnings("ignore:(Observation|Variable) names are not unique:UserWarning")
@pytest.mark.parametrize("case", CASES)
def test_raw_input(case):
    change, settings, message = CASES[case]
    adata = change(raw())
    with pytest.raises(DataError, match=message):
        prepare(adata, PrepareConfig(**settings))


def test_training_cells_that_are_all_controls():
    adata = raw()
    adata.obs["fold"] = np.tile(["test", "val", "train", "val"], 50)
    adata.obs["fold"] = np.where(np.arange(200) % 8 == 3, "test", adata.obs["fold"])
    with pytest.raises(DataError, match=r"'train' of obs\['fold'\] has only control cells"):
        prepare(adata, PrepareConfig(split_key="fold"))


@pytest.fixture(scope="module")
def good():
    return prepare(simulate(SimulateConfig(n_cells=300, n_genes=40, n_perturbed=4)))


def drop(part, name):
    def change(adata):
        del getattr(adata, part)[name]

    return change


def put(part, name, value):
    def change(adata):
        getattr(adata, part)[name] = value

    return change


def record(name, value):
    def change(adata):
        entry = dict(adata.uns["gpo_vae"])
        entry.pop(name)
        adata.uns["gpo_vae"] = entry if value is None else {**entry, name: value}

    return change


PREPARED = {
    "no record": (drop("uns", "gpo_vae"), "not prepared.*gpo-vae prepare"),
    "no dosage names": (record("dosage_names", None), "lacks dosage_names"),
    "a newer format": (record("format_version", 99), "version 99"),
    "no perturbation": (drop("obs", "perturbation"), r"obs lacks perturbation \(it has: .*ngenes"),
    "no split": (drop("obs", "split"), "obs lacks split"),
    "no quality": (drop("obs", "qc_fail"), "obs lacks qc_fail"),
    "no match": (drop("obs", "matched_control"), "obs lacks matched_control"),
    "no counterfactual": (drop("layers", "counterfactual"), "layers lacks counterfactual"),
    "no delta": (drop("obsm", "delta_x"), r"obsm lacks delta_x \(it has: nothing\)"),
    "delta of other width": (put("obsm", "delta_x", np.zeros((300, 2))), r"delta has shape"),
    "split of another name": (put("obs", "split", "holdout"), "split has the values holdout"),
    "quality beyond 0 and 1": (put("obs", "qc_fail", 3), r"obs\['qc_fail'\] must hold"),
    "quality as text": (put("obs", "qc_fail", "failed"), r"obs\['qc_fail'\] must hold"),
    "matched to nobody": (put("obs", "matched_control", "nobody"), "'nobody', which is not a cell"),
    "perturbation without column": (
        lambda adata: rename(sorted(set(adata.obs["perturbation"]))[0], "ZZZ")(adata),
        "without a dosage column: ZZZ",
    ),
    "too few perturbed": (
        record("n_perturbed", 1),
        r"'counts'\] has 4 perturbed_genes, but n_perturbed is 1",
    ),
}


@pytest.mark.parametrize("case", PREPARED)
def test_prepared_input(good, case):
    change, message = PREPARED[case]
    adata = good.copy()
    change(adata)
    with pytest.raises(DataError, match=message):
        from_anndata(adata)


def test_a_match_that_is_no_control(good):
    adata = good.copy()
    perturbed = adata.obs_names[adata.obs["perturbation"] != CONTROL][0]
    adata.obs["matched_control"] = perturbed
    with pytest.raises(DataError, match="not a control cell"):
        from_anndata(adata)


def test_files_that_are_missing_or_no_h5ad(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        load(tmp_path / "absent.h5ad")
    text = tmp_path / "text.h5ad"
    text.write_text("hello")
    with pytest.raises(DataError, match="cannot be read as an h5ad"):
        load(text)


def test_a_raw_file_says_how_to_prepare_it(tmp_path):
    path = tmp_path / "raw.h5ad"
    write(raw(), path)
    with pytest.raises(DataError, match=r"raw.h5ad: this data is not prepared.*gpo-vae prepare"):
        load(path)


def test_a_failed_write_leaves_nothing_and_keeps_the_old_file(good, tmp_path):
    path = tmp_path / "old.h5ad"
    path.write_text("old")
    adata = good.copy()
    adata.uns["unwritable"] = object()
    with pytest.raises(DataError, match="cannot be written"):
        write(adata, path)
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["old.h5ad"]
    with pytest.raises(DataError, match="does not exist"):
        write(good, tmp_path / "absent" / "new.h5ad")
