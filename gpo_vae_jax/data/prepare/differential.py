"""Differential expression: every group against control by Wilcoxon's rank-sum test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import ndtr

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.memory import items_within, pieces
from gpo_vae_jax.statistics.control_ranks import MOST_GENES, rank_among_controls

_CHUNK_VALUES = 1 << 19  # values ranked at a time
_FLOOR = 1e-9  # added to both means of a fold change, so that neither is 0


class DifferentialExpression(NamedTuple):
    """Tests of R groups against control for G genes, [R, G] float64 each."""

    scores: np.ndarray  # z of the rank sum: above 0 where the group is higher
    log_fold_changes: np.ndarray  # log2 of the ratio of mean normalised counts
    p: np.ndarray  # two-sided, normal approximation
    p_adjusted: np.ndarray  # Benjamini-Hochberg over the genes of the group


def rank_genes(
    values: count_matrix.CountMatrix,
    group: np.ndarray,
    n_groups: int,
    control: np.ndarray,
    factor: np.ndarray | None = None,
) -> DifferentialExpression:
    """Test every group against control, gene by gene, as scanpy's rank_genes_groups does.

    As in scanpy, float32 values are compared, so the same cells are ties; ties share their mean
    rank, and the variance is not corrected for them. A group without cells gets scores of 0 and
    p-values of 1.

    Args:
      values: [N, G], dense or sparse: log(1 + normalised counts); or, if `factor` is given, raw
        counts, which are then normalised and log-transformed chunk by chunk.
      group: [N] the group of each cell, below `n_groups`; -1: not tested.
      n_groups: R.
      control: [N] bool, the cells to compare with. They are in no group.
      factor: [N] size factor of each cell.

    Raises:
      DataError: there are no controls, or a value is negative.
    """
    from scipy.stats import false_discovery_control  # takes half a second to import

    group = np.where(control, n_groups, group)
    size = np.bincount(group[group >= 0], minlength=n_groups + 1).astype(np.float64)
    n, m = size[:-1, None], size[-1]
    if not m:
        raise DataError("there are no control cells to compare with")
    wins = np.empty((n_groups, values.shape[1]))  # Mann-Whitney's U
    mean = np.empty((n_groups + 1, values.shape[1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        for genes, chunk in _gene_chunks(values):
            by_gene, cells, expression = _expressed(chunk, group, factor)
            found = _sums_of_genes(by_gene, group[cells], expression, size)
            wins[:, genes], mean[:, genes] = found
        spread = np.sqrt(n * m * (n + m + 1) / 12.0)
        scores = np.nan_to_num((wins - n * (m / 2)) / spread, nan=0.0)
        p = 2 * ndtr(-np.abs(scores))
        mean = np.expm1(mean) + _FLOOR
        changes = np.log2(mean[:-1] / mean[-1])
    return DifferentialExpression(
        scores, changes, p, false_discovery_control(p, axis=1) if p.size else p
    )


def _gene_chunks(values: count_matrix.CountMatrix) -> Iterator[tuple[slice, sparse.csc_matrix]]:
    """Yield the genes in chunks of bounded size: which, and their values [N, C] by columns."""
    n_cells, n_genes = values.shape
    matrix = sparse.csc_matrix(values) if sparse.issparse(values) else np.asarray(values)
    for genes in pieces(n_genes, min(items_within(_CHUNK_VALUES, n_cells), MOST_GENES)):
        yield genes, sparse.csc_matrix(matrix[:, genes])


def _expressed(
    chunk: sparse.csc_matrix, group: np.ndarray, factor: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the expression above 0 of cells to compare: how many by gene, cells, and values."""
    cells, values = chunk.indices, chunk.data.astype(np.float32)
    if factor is not None:
        values = np.log1p(values * factor.astype(np.float32)[cells])
    if len(values) and values.min() < 0:
        raise DataError("differential expression needs values of at least 0")
    used = (values > 0) & (group[cells] >= 0)
    gene = np.repeat(np.arange(chunk.shape[1]), np.diff(chunk.indptr))
    by_gene = np.bincount(gene[used], minlength=chunk.shape[1])
    return by_gene, cells[used], values[used]


def _sums_of_genes(
    by_gene: np.ndarray, group: np.ndarray, expression: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return U of each group, [R, C], and the mean of each group and the controls, [R + 1, C].

    `expression` are the values above 0, gene by gene, and `group` the groups of their cells;
    `size` [R + 1] counts all cells, including those where a gene is 0.
    """
    n_genes, n_groups = len(by_gene), len(size) - 1

    def sums(gene_sizes: np.ndarray, group: np.ndarray, weights: np.ndarray | None, n: int):
        unit = np.repeat(np.arange(n_genes) * n, gene_sizes) + group
        return np.bincount(unit, weights, minlength=n_genes * n).reshape(n_genes, n).T

    at_zero = size[:, None] - sums(by_gene, group, None, n_groups + 1)
    mean = sums(by_gene, group, expression, n_groups + 1) / size[:, None]
    ranked = rank_among_controls(by_gene, group.astype(np.uint32), expression, n_groups)
    first = np.cumsum(ranked.controls_by_gene) - ranked.controls_by_gene
    won = (ranked.low + ranked.high) / 2 + np.repeat(at_zero[-1] - first, ranked.by_gene)
    wins = sums(ranked.by_gene, ranked.group, won, n_groups) + at_zero[:-1] * at_zero[-1] / 2
    return wins, mean
