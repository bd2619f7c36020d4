"""Where counts are, what is no count, and how fractions are rounded."""

import json

import anndata
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gpo_vae_jax.data import prepare, read_h5ad
from gpo_vae_jax.data.prepare.raw.normalised_values import normalised
from gpo_vae_jax.errors import DataError
from tests.data.prepare.raw.screens import labels, notes, prepared, screen, sizes


def scaled(raw, target=1e4):
    values = raw.X.toarray()
    return target * values / values.sum(axis=1, keepdims=True)


NORMALISED = {
    "rounded": lambda raw: np.round(scaled(raw)),
    "rounded up": lambda raw: np.ceil(scaled(raw)),
    "counts per million, rounded": lambda raw: np.round(scaled(raw, 1e6)),
    "rounded to the median": lambda raw: np.round(scaled(raw, 1500.0)),
}


@pytest.mark.parametrize("kind", NORMALISED)
def test_values_that_were_normalised_and_rounded_are_refused(kind):
    raw = screen()
    raw.X = NORMALISED[kind](raw)
    with pytest.raises(DataError, match=r"normalised and then rounded: library sizes of .* to "):
        prepared(raw)
    assert prepared(raw, counts="trust").n_obs == raw.n_obs


@pytest.mark.parametrize("change", [lambda x: x, np.log1p])
def test_rounding_is_no_way_to_take_normalised_values(change):
    raw = screen()
    raw.X = change(scaled(raw))
    for settings, message in (({}, "not whole numbers"), ({"counts": "round"}, "normalised: ")):
        with pytest.raises(DataError, match=message) as caught:
            prepared(raw, **settings)
        assert "counts=round" not in str(caught.value)
    raw = screen()
    raw.X = np.log1p(raw.X.toarray())
    with pytest.raises(DataError, match=r"log\(1 \+ x\) of whole numbers"):
        prepared(raw, counts="round")


@given(
    st.integers(0, 2**32 - 1),
    st.integers(30, 400),
    st.integers(5, 200),
    st.floats(0.05, 50),
    st.floats(0, 1),
)
def test_counts_are_never_called_normalised(seed, n_cells, n_genes, mean, spread):
    rng = np.random.default_rng(seed)
    depth = rng.gamma(1 / (spread**2 + 1e-3), spread**2 + 1e-3, (n_cells, 1))
    counts = rng.poisson(mean * depth * rng.gamma(1, 1, n_genes))
    assert normalised(counts.astype(float)) == ""


@pytest.mark.parametrize("change", [np.floor, np.round, np.ceil])
def test_a_transcriptome_that_was_normalised_and_cut_to_whole_numbers_is_told(change):
    rng = np.random.default_rng(0)
    share = rng.gamma(0.3, 1.0, 3000)
    depth = rng.lognormal(8.3, 0.4, 300)
    counts = rng.poisson(depth[:, None] * share / share.sum())
    assert normalised(counts.astype(float)) == ""
    assert normalised(change(1e4 * counts / counts.sum(axis=1, keepdims=True))) != ""
    genes = np.argsort(-share)[:1500]  # a subset, whose library sizes differ
    assert normalised(change(1e4 * counts / counts.sum(axis=1, keepdims=True))[:, genes]) != ""
    assert normalised(counts[:, genes].astype(float)) == ""


def test_counts_drawn_down_to_one_library_size_are_counts():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(800, np.full(40, 1 / 40), 300)
    counts[:20] = rng.multinomial(500, np.full(40, 1 / 40), 20)  # these had fewer
    assert normalised(counts.astype(float)) == ""


def test_the_only_layer_with_counts_is_taken():
    raw = screen()
    before = prepared(raw)
    other = anndata.AnnData(np.round(scaled(raw)), raw.obs, raw.var)
    other.layers["counts"], other.layers["lognorm"] = raw.X, np.log1p(raw.X)
    found = prepared(other)
    assert "counts are read from layer 'counts': the values of X are not" in notes(found)
    np.testing.assert_array_equal(found.X.toarray(), before.X.toarray())
    np.testing.assert_array_equal(found.obsm["delta_x"], before.obsm["delta_x"])
    other.layers["spliced"] = raw.X
    with pytest.raises(DataError, match=r"layer=counts or config.prepare.layer=spliced"):
        prepared(other)


def test_a_file_without_x(tmp_path):
    raw = screen()
    want = prepared(raw)
    raw.layers["counts"], raw.X = raw.X, None
    raw.write_h5ad(tmp_path / "raw.h5ad")
    for backed in (False, True):
        given = read_h5ad(tmp_path / "raw.h5ad", backed=backed)
        found = prepared(given)
        np.testing.assert_array_equal(found.X.toarray(), want.X.toarray())
        assert "counts are read from layer 'counts': there is no X" in notes(found)
        if backed:
            given.file.close()
    with pytest.raises(DataError, match=r"has no X; name a layer with counts"):
        prepared(anndata.AnnData(obs=raw.obs, var=raw.var))


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
def test_fractions_are_rounded_by_the_names_of_cell_and_gene(form):
    raw = screen(n=600)
    values = raw.X.toarray() * 0.93
    raw.X = form(values)
    with pytest.raises(DataError, match=r"not whole numbers.*counts=round"):
        prepared(raw)
    result = prepared(raw, counts="round")
    counts = result.X.toarray() if sparse.issparse(result.X) else result.X
    assert (np.abs(counts - values) < 1).all() and counts.sum() == pytest.approx(
        values.sum(), rel=0.002
    )
    up = counts - np.floor(values)
    fraction = values - np.floor(values)
    for low in (0.1, 0.5, 0.8):
        here = (fraction > low) & (fraction < low + 0.1)
        assert up[here].mean() == pytest.approx(fraction[here].mean(), abs=0.05)
    order = np.random.default_rng(1).permutation(raw.n_obs)
    shuffled = prepared(raw[order].copy()[:, raw.var_names[::-1]].copy(), counts="round")
    again = shuffled[raw.obs_names, raw.var_names].X
    again = again.toarray() if sparse.issparse(again) else again
    np.testing.assert_array_equal(again, counts)
    other = prepared(raw, counts="round", seed=1).X
    assert ((other.toarray() if sparse.issparse(other) else other) != counts).any()


@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray])
def test_half_precision(form):
    raw = screen()
    want = prepared(raw)
    raw.X = form(raw.X.toarray()).astype(np.float16) if form is np.asarray else raw.X
    got = prepared(raw).X
    assert (np.asarray(got.toarray() if sparse.issparse(got) else got) == want.X.toarray()).all()


def test_values_far_from_one_are_doubted():
    raw = screen(depth=30.0)
    raw.X = raw.X * 5
    assert "zeros but no value of 1" in notes(prepared(raw))
    assert "zeros but no value of 1" not in notes(prepared(screen(depth=30.0)))


def test_settings_of_the_guess_are_recorded():
    result = prepare(screen(), guess=True)
    assert json.loads(result.uns["gpo_vae"]["settings"])["counts"] == "whole"
    assert labels(result) == sizes(screen())
