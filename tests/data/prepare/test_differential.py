"""Differential expression against scanpy and scipy."""

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse, stats

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.prepare.differential import rank_genes
from gpo_vae_jax.errors import DataError


def by_scanpy(expression, label, control, names):
    adata = anndata.AnnData(
        sparse.csr_matrix(expression, dtype=np.float32),
        obs=pd.DataFrame({"label": pd.Categorical(label)}, index=np.arange(len(label)).astype(str)),
        var=pd.DataFrame(index=np.arange(expression.shape[1]).astype(str)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fragmented frames, log2 of 0
        scanpy.tl.rank_genes_groups(
            adata, "label", groups=list(names), reference=control, method="wilcoxon"
        )
    return adata.uns["rank_genes_groups"]


def check_against_scanpy(counts, label, control):
    """Compare scores, changes, p and the order of genes, in which ties may be in any order."""
    names = np.unique(label[label != control])
    group = np.where(label == control, -1, np.searchsorted(names, label))
    factor = count_matrix.normalisation(count_matrix.library_size(counts))
    ours = rank_genes(counts, group, len(names), label == control, factor)
    scaled = sparse.diags(factor.astype(np.float32)) @ sparse.csr_matrix(counts, dtype=np.float32)
    theirs = by_scanpy(sparse.csr_matrix(scaled).log1p(), label, control, names)
    for row, name in enumerate(names):
        order = theirs["names"][name].astype(int)
        scores = ours.scores[row, order]
        assert (np.diff(scores) <= 0).all()
        np.testing.assert_array_equal(scores.astype(np.float32), theirs["scores"][name])
        np.testing.assert_allclose(
            ours.log_fold_changes[row, order], theirs["logfoldchanges"][name], rtol=1e-5, atol=1e-5
        )
        np.testing.assert_allclose(ours.p[row, order], theirs["pvals"][name], rtol=1e-12)
        np.testing.assert_allclose(ours.p_adjusted[row, order], theirs["pvals_adj"][name], 1e-12)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_simulated_counts_as_scanpy(form):
    rng = np.random.default_rng(0)
    label = np.array(["A", "B", "C", "control"])[rng.integers(4, size=300)]
    mean = np.exp(rng.normal(-1, 2, 60)) * np.where(label == "A", 2.0, 1.0)[:, None] ** (
        rng.random(60) < 0.2
    )
    check_against_scanpy(form(rng.poisson(mean).astype(np.uint16)), label, "control")


def test_real_counts_as_scanpy(shared):
    adata = anndata.read_h5ad(shared("data/schraivogel2020_tapseq_k562_72g.h5ad"))
    label = adata.obs["gene"].astype(str).to_numpy()
    check_against_scanpy(sparse.csr_matrix(adata.X), label, "non-targeting")


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.3, 5]))
def test_scores_are_rank_sums(seed, n, m, mean):
    """Scores follow from scipy's average ranks; cells in no group do not matter."""
    rng = np.random.default_rng(seed)
    values = np.log1p(rng.poisson(mean, (n + m + 3, 4)) * np.float32(0.7)).astype(np.float32)
    group = np.repeat([0, -1, -1], [n, m, 3])
    control = np.repeat([False, True, False], [n, m, 3])
    order = rng.permutation(len(group))
    found = rank_genes(sparse.csr_matrix(values[order]), group[order], 1, control[order])
    ranks = stats.rankdata(values[: n + m], axis=0)[:n].sum(axis=0)
    expected = (ranks - n * (n + m + 1) / 2) / np.sqrt(n * m * (n + m + 1) / 12)
    np.testing.assert_allclose(found.scores[0], expected, rtol=1e-12, atol=1e-12)
    mean_of = np.expm1([values[:n].mean(0, np.float64), values[n : n + m].mean(0, np.float64)])
    change = np.log2((mean_of[0] + 1e-9) / (mean_of[1] + 1e-9))
    np.testing.assert_allclose(found.log_fold_changes[0], change, rtol=1e-9, atol=1e-12)


def test_stored_zeros_are_zeros():
    values = np.float32([[0, 1], [2, 0], [0, 3], [1, 1]])
    group, control = np.array([0, 0, -1, -1]), np.array([False, False, True, True])
    stored = sparse.csr_matrix(values + 1)
    stored.data -= 1
    assert stored.nnz == 8
    for ours, plain in zip(
        rank_genes(stored, group, 1, control), rank_genes(values, group, 1, control), strict=True
    ):
        np.testing.assert_array_equal(ours, plain)


def test_a_group_without_cells_shows_nothing():
    found = rank_genes(np.ones((4, 3)), np.array([0, 0, -1, -1]), 2, np.arange(4) > 1)
    assert not found.scores[1].any() and (found.p[1] == 1).all()
    assert np.isnan(found.log_fold_changes[1]).all()


def test_what_cannot_be_tested():
    with pytest.raises(DataError, match="no control cells"):
        rank_genes(np.ones((3, 2)), np.zeros(3, int), 1, np.zeros(3, bool))
    with pytest.raises(DataError, match="at least 0"):
        rank_genes(-np.ones((3, 2)), np.array([0, 0, -1]), 1, np.array([False, False, True]))
