"""Raw files of every format are the same screen."""

import gzip
import json

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from gpo_vae_jax.data import prepare_file
from gpo_vae_jax.data.prepare.reading.raw_files import open_raw
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.presets import PRESETS
from tests.data.prepare.raw.screens import labels, notes, relabelled, screen, sizes
from tests.data.prepare.reading import written

CONFIG = PRESETS["anndata"]().prepare


def prepared(source, tmp_path, **settings):
    config = CONFIG.__class__(**settings)
    return prepare_file(source, tmp_path / "prepared.h5ad", config, guess=True)


def same(one, two):
    order = two.obs_names
    assert sorted(one.obs_names) == sorted(order)
    one = one[order]
    np.testing.assert_array_equal(one.X.toarray(), two.X.toarray())
    np.testing.assert_array_equal(one.obsm["delta_x"], two.obsm["delta_x"])
    for name in ("perturbation", "split", "qc_fail", "matched_control"):
        got = one.obs[name].astype(str).replace("control", "non-targeting")
        assert (got == two.obs[name].astype(str)).all()


@pytest.fixture(scope="module")
def assigned():
    """Return a screen with guide counts, and how it is prepared from labels that are known."""
    raw, guides, label = written.multiome()
    known = raw.copy()
    known.obs["perturbation"] = label
    from gpo_vae_jax.data import prepare

    return raw, guides, label, prepare(known, CONFIG)


TENX = {
    "h5": lambda path, raw, guides: written.tenx_h5(path / "x.h5", raw, guides) or path / "x.h5",
    "h5 called h5ad": lambda path, raw, guides: (
        written.tenx_h5(path / "x.h5ad", raw, guides) or path / "x.h5ad"
    ),
    "folder": lambda path, raw, guides: written.tenx_folder(path / "m", raw, guides) or path / "m",
    "unpacked folder": lambda path, raw, guides: (
        written.tenx_folder(path / "m", raw, guides, packed=False) or path / "m"
    ),
    "outs of cellranger": lambda path, raw, guides: (
        written.tenx_folder(path / "run/outs/filtered_feature_bc_matrix", raw, guides)
        or path / "run"
    ),
    "files with a prefix": lambda path, raw, guides: (
        written.tenx_folder(path / "m", raw, guides, prefix="GSM1_") or path / "m"
    ),
    "the matrix alone": lambda path, raw, guides: (
        written.tenx_folder(path / "m", raw, guides) or path / "m/matrix.mtx.gz"
    ),
}


@pytest.mark.parametrize("form", TENX)
def test_files_of_10x_with_guides(form, assigned, tmp_path):
    raw, guides, _, want = assigned
    path = TENX[form](tmp_path, raw, guides)
    with open_raw([path]) as found:
        adata = found.adata
        assert list(adata.obs_names) == list(raw.obs_names)
        assert list(adata.var_names) == [*raw.var_names, *written.GUIDES]
        got = np.asarray(adata.X.todense())
        np.testing.assert_array_equal(got, np.hstack([raw.X.toarray(), guides]))
        assert list(adata.obs["gem_group"]) == [name[-1] for name in raw.obs_names]
    result = prepared(path, tmp_path)
    same(result, want)
    assert "280 of 300 cells have one dominant guide" in notes(result)
    assert "10 none, 10 several" in notes(result) and "20 of 300 cells" in notes(result)
    assert (result.obs["perturbation"].astype(str) != "unassigned").all()
    guide = result.obs["guide"].astype(str)
    assert set(guide) == set(written.GUIDES) and result.n_vars == raw.n_vars
    gene = pd.Series([x.split("_sg")[0] for x in guide], index=guide.index)
    assert (gene == result.obs["perturbation"].astype(str))[guide.str.contains("_sg")].all()


def test_guides_are_assigned_as_the_settings_say(assigned, tmp_path):
    raw, guides, _, _ = assigned
    written.tenx_h5(tmp_path / "x.h5", raw, guides)
    result = prepared(tmp_path / "x.h5", tmp_path, guide_min_umi=60)
    kept = (guides.max(axis=1) >= 60) & (guides.max(axis=1) >= 0.6 * guides.sum(axis=1))
    assert result.n_obs == kept.sum() and "at least 60 UMIs" in notes(result)


def test_old_files_of_10x_need_labels(assigned, tmp_path):
    raw, *_ = assigned
    written.tenx_v2_h5(tmp_path / "old.h5", raw)
    written.tenx_folder(tmp_path / "old", raw, None, packed=False, old=True)
    for path in (tmp_path / "old.h5", tmp_path / "old"):
        with open_raw([path]) as found:
            np.testing.assert_array_equal(np.asarray(found.adata.X.todense()), raw.X.toarray())
            assert list(found.adata.var_names) == list(raw.var_names)
        with pytest.raises(DataError, match="obs has no column 'perturbation'"):
            prepared(path, tmp_path)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_mudata(assigned, tmp_path):
    mudata = pytest.importorskip("mudata")
    raw, guides, _, want = assigned
    block = anndata.AnnData(
        sparse.csr_matrix(guides), obs=pd.DataFrame(index=raw.obs_names),
        var=pd.DataFrame(index=written.GUIDES),
    )  # fmt: skip
    raw = raw.copy()
    raw.obs["lane"] = [name[-1] for name in raw.obs_names]
    shuffled = np.random.default_rng(0).permutation(raw.n_obs)
    mdata = mudata.MuData({"rna": raw, "gdo": block[shuffled].copy()})
    mdata.obs["donor"] = "one"
    mdata.write(tmp_path / "x.h5mu")
    (tmp_path / "x.h5mu").rename(tmp_path / "y.h5ad")  # whatever it is called
    result = prepared(tmp_path / "y.h5ad", tmp_path)
    same(result, want)
    assert {"lane", "donor", "guide"} <= set(result.obs) and "with 10 guides of 'gdo'" in notes(
        result
    )
    mudata.MuData({"atac": raw}).write(tmp_path / "z.h5mu")
    with pytest.raises(DataError, match="no modality of the MuData holds genes: atac"):
        prepared(tmp_path / "z.h5mu", tmp_path)


@pytest.fixture(scope="module")
def plain():
    from gpo_vae_jax.data import prepare

    raw = screen()
    return raw, prepare(raw, CONFIG)


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
@pytest.mark.parametrize("form", ["h5ad", "packed", "zarr", "loom"])
def test_files_with_labels(form, plain, tmp_path):
    raw, want = plain
    if form == "h5ad":
        raw.write_h5ad(path := tmp_path / "x.h5ad")
    elif form == "packed":
        raw.write_h5ad(tmp_path / "x.h5ad")
        path = tmp_path / "x.h5ad.gz"
        path.write_bytes(gzip.compress((tmp_path / "x.h5ad").read_bytes()))
    elif form == "zarr":
        pytest.importorskip("zarr")
        raw.write_zarr(path := tmp_path / "x.zarr")
    else:
        pytest.importorskip("loompy")
        from anndata.io import write_loom

        write_loom(path := tmp_path / "x.loom", raw)
    same(prepared(path, tmp_path), want)


def test_loom_without_loompy_says_what_to_install(tmp_path):
    with h5py.File(tmp_path / "x.loom", "w") as file:
        for name in ("row_attrs", "col_attrs", "layers"):
            file.create_group(name)
    try:
        import loompy  # noqa: F401

        message = "cannot be read"
    except ImportError:
        message = "needs loompy: pip install 'gpo-vae-jax\\[loom\\]'"
    with pytest.raises(DataError, match=message):
        prepared(tmp_path / "x.loom", tmp_path)


def test_several_files_are_joined_by_gene(plain, tmp_path):
    raw, _ = plain
    half = np.arange(raw.n_obs) < 140
    one, two = raw[half].copy(), raw[~half, raw.var_names[::-1]].copy()
    two = two[:, two.var_names != "GENE024"].copy()
    for name, part in (("day0", one), ("day8", two)):
        part.write_h5ad(tmp_path / f"{name}.h5ad")
    paths = [tmp_path / "day0.h5ad", tmp_path / "day8.h5ad"]
    result = prepared(paths, tmp_path)
    assert labels(result) == sizes(raw) and result.n_vars == raw.n_vars - 1
    assert result.obs["batch"].value_counts().to_dict() == {"day0": 140, "day8": 160}
    got = result[raw.obs_names, :].X.toarray()
    np.testing.assert_array_equal(got, raw[:, result.var_names].X.toarray())
    assert "2 files are joined: day0, day8" in notes(result)
    assert "1 genes are not in all files" in notes(result)


def test_cells_of_one_name_in_two_files(plain, tmp_path):
    raw, _ = plain
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        raw.write_h5ad(tmp_path / name / "x.h5ad")
    result = prepared([tmp_path / name / "x.h5ad" for name in "ab"], tmp_path)
    assert result.n_obs == 2 * raw.n_obs and result.obs_names.is_unique
    assert set(result.obs["batch"]) == {"a/x", "b/x"}
    other = raw.copy()
    other.var_names = [f"ENSG{i:011d}" for i in range(raw.n_vars)]
    other.write_h5ad(tmp_path / "ids.h5ad")
    with pytest.raises(DataError, match=r"share 0 of 33 gene names; x has .*ENSG.*ids or symbols"):
        prepared([tmp_path / "a/x.h5ad", tmp_path / "ids.h5ad"], tmp_path)
    with pytest.raises(DataError, match="named twice"):
        prepared([tmp_path / "a/x.h5ad"] * 2, tmp_path)


def spoil(path):
    path.write_bytes(path.read_bytes()[:-5000])


def no_field(path):
    with h5py.File(path, "a") as file:
        del file["matrix/features/name"]


REFUSED = {
    "an empty folder": (lambda p, raw, g: p.mkdir(), "is a folder; raw counts are read from h5ad"),
    "a text file": (lambda p, raw, g: p.write_text("a,b\n1,2\n"), "is a text file"),
    "a spreadsheet": (lambda p, raw, g: p.write_bytes(b"PK\x03\x04abcdefgh"), "a spreadsheet"),
    "bytes": (lambda p, raw, g: p.write_bytes(bytes(range(256))), "no known format"),
    "a folder without barcodes": (
        lambda p, raw, g: (written.tenx_folder(p, raw, g), (p / "barcodes.tsv.gz").unlink()),
        "has a matrix but no barcodes.tsv",
    ),
    "too few barcodes": (
        lambda p, raw, g: (
            written.tenx_folder(p, raw, g, packed=False), (p / "barcodes.tsv").write_text("A\nB"),
        ),
        "43 features and 300 cells, but there are 43 names of features and 2 barcodes",
    ),
    "two matrices": (
        lambda p, raw, g: [written.tenx_folder(p, raw, g, prefix=x) for x in ("a_", "b_")],
        "several matrices: a_matrix.mtx.gz, b_matrix.mtx.gz",
    ),
    "10x without a field": (
        lambda p, raw, g: (written.tenx_h5(p, raw, g), no_field(p)), "HDF5 file of 10x that",
    ),
    "half a gzip file": (
        lambda p, raw, g: p.write_bytes(gzip.compress(bytes(10000))[:-9]), "cannot be unpacked",
    ),
    "half a file": (lambda p, raw, g: (raw.write_h5ad(p), spoil(p)), "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_called_what_it_is(case, assigned, tmp_path):
    raw, guides, _, _ = assigned
    make, message = REFUSED[case]
    make(tmp_path / "x", raw, guides)
    with pytest.raises(DataError, match=message):
        prepared(tmp_path / "x", tmp_path)
    assert not (tmp_path / "prepared.h5ad").exists()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        prepared([tmp_path / "absent.h5ad"], tmp_path)


def test_the_record_has_the_notes(assigned, tmp_path):
    raw, guides, _, _ = assigned
    written.tenx_h5(tmp_path / "x.h5", raw, guides)
    said = []
    config = CONFIG
    result = prepare_file(tmp_path / "x.h5", tmp_path / "p.h5ad", config, said.append, guess=True)
    noted = [one.removeprefix("note: ") for one in said if one.startswith("note: ")]
    assert noted == json.loads(result.uns["gpo_vae"]["notes"])
    assert relabelled(lambda x, i: x).n_obs == 300
