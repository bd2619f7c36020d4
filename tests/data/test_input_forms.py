"""Raw counts in X, a layer or raw, on disk or in memory; splits; genes that are not measured."""

import dataclasses
import json

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from gpo_vae_jax.config import PrepareConfig, SimulateConfig
from gpo_vae_jax.data import from_anndata, load, prepare, prepare_file, read_h5ad, simulate, write
from gpo_vae_jax.data.prepare.splits import split_by_row
from gpo_vae_jax.errors import DataError


@pytest.fixture(scope="module")
def raw():
    return simulate(SimulateConfig(n_cells=300, n_genes=40, n_perturbed=4, fail_fraction=0.1))


@pytest.fixture(scope="module")
def prepared(raw):
    return prepare(raw)


def same(one, two):
    assert one.obs.equals(two.obs) and list(one.var_names) == list(two.var_names)
    np.testing.assert_array_equal(one.obsm["delta_x"], two.obsm["delta_x"])
    for part in (lambda a: a.X, lambda a: a.layers["counterfactual"]):
        have, want = (x.toarray() if sparse.issparse(x) else x for x in (part(one), part(two)))
        np.testing.assert_array_equal(have, want)
        assert have.dtype == want.dtype


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
@pytest.mark.parametrize("backed", [False, True])
def test_any_form_of_the_matrix_gives_the_same(raw, prepared, tmp_path, form, backed):
    other = anndata.AnnData(form(raw.X.toarray()), obs=raw.obs, var=raw.var)
    other.write_h5ad(tmp_path / "raw.h5ad")
    given = read_h5ad(tmp_path / "raw.h5ad", backed=backed)
    try:
        same(prepare(given), prepared)
    finally:
        if backed:
            given.file.close()


def test_half_precision_is_prepared_as_any_other(raw, tmp_path):
    """Warnings are errors here, so this also asserts that there is none."""
    counts = np.minimum(raw.X.toarray(), 2048)  # up to which half precision has whole numbers
    half = anndata.AnnData(counts.astype(np.float16), obs=raw.obs, var=raw.var)
    wanted = prepare(anndata.AnnData(sparse.csr_matrix(counts), obs=raw.obs, var=raw.var))
    same(prepare(half), wanted)
    half.write_h5ad(tmp_path / "raw.h5ad")
    prepare_file(tmp_path / "raw.h5ad", tmp_path / "out.h5ad", PrepareConfig())
    same(read_h5ad(tmp_path / "out.h5ad"), wanted)


@pytest.mark.parametrize("backed", [False, True])
@pytest.mark.parametrize("place", ["layer", "raw"])
def test_counts_beside_x(raw, prepared, tmp_path, place, backed):
    other = anndata.AnnData(np.log1p(raw.X.toarray()), obs=raw.obs, var=raw.var)
    if place == "layer":
        other.layers["counts"] = raw.X
        settings, where = {"layer": "counts"}, "layer 'counts'"
    else:
        other.raw = raw
        other = other[:, :30].copy()  # raw has more genes
        settings, where = {"use_raw": True}, "raw.X"
    other.write_h5ad(tmp_path / "raw.h5ad")
    given = read_h5ad(tmp_path / "raw.h5ad", backed=backed)
    try:
        same(prepare(given, PrepareConfig(**settings)), prepared)
        found = prepare(given)  # the only place with whole numbers
        same(found, prepared)
        assert any(
            f"counts are read from {where}" in note
            for note in json.loads(found.uns["gpo_vae"]["notes"])
        )
    finally:
        if backed:
            given.file.close()


def test_ensembl_names_find_mitochondrial_genes_and_perturbations(raw, prepared):
    other = raw.copy()
    other.var["gene_name"] = other.var_names
    other.var_names = [f"ENSG{i:08d}" for i in range(other.n_vars)]
    result = prepare(other)
    name = dict(zip(other.var_names, other.var["gene_name"], strict=True))
    assert [name[g] for g in result.obs["perturbation"] if g in name] == [
        g for g in prepared.obs["perturbation"] if g != "non-targeting"
    ]
    for column in ("pct_counts_mt", "qc_fail", "split"):
        assert result.obs[column].equals(prepared.obs[column])
    assert result.obs["pct_counts_mt"].any()


@pytest.fixture(scope="module")
def lacking(raw):
    gone = sorted(raw.var_names[raw.var["perturbed"]])[1]
    return raw[:, raw.var_names != gone].copy(), gone


def test_genes_that_are_not_measured_are_dropped(lacking):
    adata, gone = lacking
    result = prepare(adata, PrepareConfig(unmeasured="drop"))
    assert gone not in result.uns["gpo_vae"]["dosage_names"]
    assert gone not in set(result.obs["perturbation"]) and result.n_obs < adata.n_obs
    assert result.uns["gpo_vae"]["unmeasured"] == "[]"
    lost = adata.n_obs - result.n_obs
    notes = json.loads(result.uns["gpo_vae"]["notes"])
    assert any(f"{lost} of {adata.n_obs} cells" in note and gone in note for note in notes)


def test_genes_that_are_not_measured_are_kept_and_align_nothing(lacking, tmp_path):
    adata, gone = lacking
    result = prepare(adata)
    assert any(gone in note for note in json.loads(result.uns["gpo_vae"]["notes"]))
    names = list(result.uns["gpo_vae"]["dosage_names"])
    column = names.index(gone)
    assert json.loads(result.uns["gpo_vae"]["unmeasured"]) == [gone]
    assert result.n_obs == adata.n_obs and not result.obsm["delta_x"][:, column].any()
    write(result, tmp_path / "kept.h5ad")
    dataset = load(tmp_path / "kept.h5ad")
    for split in dataset.splits.values():
        assert split.context.measured.tolist() == [n != gone for n in names]
        assert split.context.treatment_cells[column] > 0
        assert split.context.measured.dtype == np.float32
    assert np.isnan(dataset.tables["test"][:, column]).all()


def test_without_any_measured_target_there_is_nothing_to_keep(raw):
    other = raw[:, ~raw.var["perturbed"]].copy()
    with pytest.raises(DataError, match="no perturbation of a measured gene is left: 4 after"):
        prepare(other, PrepareConfig(unmeasured="keep"))


class TestSplits:
    def test_a_column_in_the_file_wins_over_both(self, raw):
        fold = np.array(["train", "train", "val", "test"])[np.arange(raw.n_obs) % 4]
        other = raw.copy()
        other.obs["split"] = fold
        for split in ("by_name", "reference"):
            assert (prepare(other, PrepareConfig(split=split)).obs["split"] == fold).all()
        other.obs["fold"] = np.roll(fold, 1)
        named = prepare(other, PrepareConfig(split_key="fold"))
        assert (named.obs["split"] == other.obs["fold"]).all()
        drawn = prepare(other, PrepareConfig(split_key=""))
        assert (drawn.obs["split"] == prepare(raw).obs["split"]).all()

    def test_reference_is_by_row_whatever_the_names(self, raw):
        config = PrepareConfig(split="reference")
        expected = split_by_row(raw.n_obs)
        for adata in (raw, raw[np.random.default_rng(0).permutation(raw.n_obs)].copy()):
            assert (prepare(adata, config).obs["split"] == expected).all()

    def test_reference_counts_the_cells_that_are_kept(self, raw):
        result = prepare(raw, PrepareConfig(split="reference", knockdown=True))
        assert result.n_obs < raw.n_obs
        assert (result.obs["split"] == split_by_row(result.n_obs)).all()

    def test_a_perturbation_without_test_cells_is_noted(self, raw):
        other = raw.copy()
        fold = np.array(["train", "train", "val", "test"], object)[np.arange(raw.n_obs) % 4]
        label = other.obs["perturbation"].astype(str).to_numpy()
        gene = sorted(set(label) - {"non-targeting"})[0]
        other.obs["split"] = np.where(label == gene, "train", fold)
        said = []
        result = prepare(other, PrepareConfig(), said.append)
        assert "note: 1 perturbation without cells in 'test'" in said
        stages = json.loads(result.uns["gpo_vae"]["stages"])
        by_name = {done["stage"]: done for done in stages}
        assert by_name["split"]["without_cells_in_val"] == [gene]
        dataset = from_anndata(result)
        at = dataset.treatments.index(gene)
        assert np.isnan(dataset.tables["test"][at]).all()
        assert not np.isnan(dataset.tables["train"][at]).all()


def test_further_thresholds_flag_fewer_cells(raw, prepared):
    obs = prepared.obs
    assert (obs["qc_fail_4"] <= obs["qc_fail"]).all() and (
        obs["qc_fail_5"] <= obs["qc_fail_4"]
    ).all()
    only = prepare(simulate(SimulateConfig(n_cells=300, n_genes=40, n_perturbed=4)),
                   PrepareConfig(qc_also=()))  # fmt: skip
    assert "qc_fail" in only.obs and "qc_fail_4" not in only.obs


def test_a_prepared_file_can_be_prepared_again(prepared):
    again = prepare(prepared, dataclasses.replace(PrepareConfig()))
    same(again, prepared)


def test_labels_are_joined_by_plus_whatever_the_file_had():
    rng = np.random.default_rng(0)
    label = np.tile(["MT_X", "A", "A_MT_X", "control", "control"], 30)
    obs = pd.DataFrame({"perturbation": label}, index=[f"c{i}" for i in range(150)])
    adata = anndata.AnnData(rng.poisson(5.0, (150, 3)), obs, pd.DataFrame(index=["A", "MT_X", "B"]))
    result = prepare(adata, PrepareConfig(control="control", combination_separator="_"))
    assert set(result.obs["perturbation"]) == {"MT_X", "A", "A+MT_X", "control"}
    dataset = from_anndata(result)
    assert dataset.treatments == ("A", "MT_X")
    assert dataset.splits["train"].cells.dosage.sum(axis=1).max() == 2
