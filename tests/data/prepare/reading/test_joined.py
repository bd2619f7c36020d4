"""Several files as one: their guides, their names, their batches."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from gpo_vae_jax.data import prepare_file
from gpo_vae_jax.data.prepare.reading.guide_assignment import guide_block
from gpo_vae_jax.data.prepare.reading.joined import joined
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.presets import PRESETS
from tests.data.prepare.raw.screens import notes, screen
from tests.data.prepare.reading import written

CONFIG = PRESETS["anndata"]().prepare


def of_lane(raw, cells, guides, kept):
    """Return some cells with their genes and those guides that the lane's library has."""
    x = sparse.csr_matrix(np.hstack([raw.X[cells].toarray(), guides[np.ix_(cells, kept)]]))
    kinds = ["Gene Expression"] * raw.n_vars + ["CRISPR Guide Capture"] * len(kept)
    names = [*raw.var_names, *(written.GUIDES[i] for i in kept)]
    var = pd.DataFrame({"feature_types": kinds}, index=names)
    return anndata.AnnData(x, pd.DataFrame(index=raw.obs_names[cells]), var)


@pytest.fixture
def lanes():
    """Return two lanes whose libraries share the control guides alone, the last in other order."""
    raw, guides, _ = written.multiome()
    guides[:20] = 0  # cells without a guide or with all
    top = guides.argmax(axis=1)
    in_first = np.flatnonzero((top < 4) | ((top >= 8) & (np.arange(len(top)) % 2 == 0)))
    in_second = np.setdiff1d(np.arange(len(top)), in_first)
    assert len(in_first) > 100 and len(in_second) > 100
    one = of_lane(raw, in_first, guides, [0, 1, 2, 3, 8, 9])
    two = of_lane(raw, in_second, guides, [9, 8, 7, 6, 5, 4])
    return one, two, guides[np.r_[in_first, in_second]], np.r_[in_first, in_second]


def test_guides_of_any_lane_stay(lanes):
    one, two, guides, _ = lanes
    result, said = joined([one, two], [Path("a.h5ad"), Path("b.h5ad")])
    counts, names = guide_block(result)
    assert names == [*one.var_names[-6:], *two.var_names[-4:]]
    assert sorted(names) == sorted(written.GUIDES)
    at = [written.GUIDES.index(name) for name in names]
    outside = np.ones_like(guides, bool)  # counts that a lane's library cannot have
    outside[: one.n_obs, [4, 5, 6, 7]] = outside[one.n_obs :, [0, 1, 2, 3]] = False
    np.testing.assert_array_equal(counts.toarray(), np.where(outside, guides, 0)[:, at])
    assert not any("not in all files" in sentence for sentence in said)  # guides are no genes


def test_lanes_with_different_guides_are_labelled_by_them(lanes, tmp_path):
    one, two, guides, order = lanes
    one.write_h5ad(tmp_path / "a.h5ad")
    two.write_h5ad(tmp_path / "b.h5ad")
    sources = [tmp_path / "a.h5ad", tmp_path / "b.h5ad"]
    result = prepare_file(sources, tmp_path / "out.h5ad", CONFIG, guess=True)
    cells = [*one.obs_names, *two.obs_names]
    own = pd.Series([written.GUIDES[i] for i in guides.argmax(axis=1)], index=cells)
    own = own[np.asarray(order) >= 20]
    assert set(result.obs_names) == set(own.index)
    assert (result.obs["guide"].astype(str) == own[result.obs_names]).all()
    assert "280 of 300 cells have one dominant guide" in notes(result)


def test_guides_of_several_mudata_stay(lanes):
    mudata = pytest.importorskip("mudata")
    from gpo_vae_jax.data.prepare.reading.multimodal import from_mudata

    parts = []
    for lane in lanes[:2]:
        is_guide = (lane.var["feature_types"] != "Gene Expression").to_numpy()
        with mudata.set_options(pull_on_update=False):
            both = mudata.MuData(
                {"rna": lane[:, ~is_guide].copy(), "gdo": lane[:, is_guide].copy()}
            )
        parts.append(from_mudata(both)[0])
    counts, names = guide_block(joined(parts, [Path("a.h5mu"), Path("b.h5mu")])[0])
    want, same = guide_block(joined(lanes[:2], [Path("a.h5ad"), Path("b.h5ad")])[0])
    assert names == same
    np.testing.assert_array_equal(counts.toarray(), want.toarray())


def test_a_file_without_types_beside_one_with_guides(lanes):
    one, two, *_ = lanes
    paths = [Path("a.h5ad"), Path("b.h5ad")]
    del two.var["feature_types"]
    with pytest.raises(DataError, match=r"'b.h5ad' has features that are guides .*NT_2.*add that"):
        joined([one, two], paths)
    genes = two[:, : two.n_vars - 6].copy()  # without guides there is nothing to mistake
    result, _ = joined([one, genes], paths)
    assert list(result.var["feature_types"]) == ["Gene Expression"] * genes.n_vars
    assert guide_block(result)[0][one.n_obs :].sum() == 0


def halves():
    raw = screen()
    return raw[:150].copy(), raw[150:].copy()


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["GSM1.rep1.h5ad", "GSM1.rep2.h5ad"], ["GSM1.rep1", "GSM1.rep2"]),
        (["d0.5.h5ad.gz", "d0.7.zarr"], ["d0.5", "d0.7"]),
        (["GSM1_matrix.mtx.gz", "GSM2_matrix.mtx.gz"], ["GSM1", "GSM2"]),
        (
            ["s1/outs/filtered_feature_bc_matrix", "s2/outs/filtered_feature_bc_matrix"],
            ["s1", "s2"],
        ),
        (["s1/outs/filtered_feature_bc_matrix.h5", "s2/m/matrix.mtx"], ["s1", "m"]),
        (["a/x.h5ad", "b/x.h5ad"], ["a/x", "b/x"]),
    ],
    ids=lambda value: value[0],
)
def test_batches_are_called_by_what_tells_files_apart(paths, names):
    result, _ = joined(halves(), [Path(path) for path in paths])
    assert list(result.obs["batch"]) == [names[0]] * 150 + [names[1]] * 150


def test_batches_of_the_files_count_if_all_have_them():
    one, two = halves()
    paths = [Path("a.h5ad"), Path("b.h5ad")]
    one.obs["batch"] = "p"
    assert set(joined([one, two], paths)[0].obs["batch"]) == {"a", "b"}
    two.obs["batch"] = "q"
    assert list(joined([one, two], paths)[0].obs["batch"]) == ["p"] * 150 + ["q"] * 150
