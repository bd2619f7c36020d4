"""Differential expression: every group against control by Wilcoxon's rank-sum test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse, stats

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.errors import DataError

_CHUNK_VALUES = 1 << 24  # values of a dense matrix that are copied at a time
_FLOOR = 1e-9  # added to means before their ratio, so that a gene may be absent


class DifferentialExpression(NamedTuple):
    """Hold the tests of R groups and G genes against control, [R, G] float64 each."""

    scores: np.ndarray  # z of the rank sum: above 0 where the group is higher
    log_fold_changes: np.ndarray  # log2 of the ratio of mean counts after normalisation
    p: np.ndarray  # two-sided, normal approximation
    p_adjusted: np.ndarray  # Benjamini-Hochberg over the genes of the group


def rank_genes(
    values: count_matrix.CountMatrix,
    group: np.ndarray,
    n_groups: int,
    control: np.ndarray,
    factor: np.ndarray | None = None,
) -> DifferentialExpression:
    """Test all groups against control, gene by gene, as scanpy's rank_genes_groups does.

    `values` [N, G], dense or sparse, is log(1 + normalised counts), at least 0; or, with the
    cells' `factor` [N], it is raw counts, and log(1 + counts * factor) is taken gene by gene
    without a copy of the whole. `group` [N] has a number below `n_groups` for each cell to test and
    -1 for the others; `control` [N] bool are the cells to compare with, which are in no group.

    What is compared is float32, as in scanpy, so that the same cells are ties; sums are float64.
    Ties get their mean rank, and the spread is not corrected for them (scanpy's default). Genes of
    equal score have no order of their own: scanpy leaves it to an unstable sort. A group
    without cells gets scores of 0 and p of 1. Raises DataError without controls and for negative
    values.
    """
    group = np.where(control, n_groups, np.where(group < 0, n_groups + 1, group))
    size = np.bincount(group, minlength=n_groups + 2)[: n_groups + 1].astype(np.float64)
    n, m = size[:-1, None], size[-1]
    if not m:
        raise DataError("there are no control cells to compare with")
    n_genes = values.shape[1]
    wins = np.empty((n_groups, n_genes))  # Mann-Whitney's U: pairs (cell, control) it is above in
    mean = np.empty((n_groups + 1, n_genes))
    with np.errstate(divide="ignore", invalid="ignore"):
        for gene, cells, column in _columns(values):
            expression = _expression(column, None if factor is None else factor[cells])
            if len(expression) and expression.min() <= 0:
                if expression.min() < 0:
                    raise DataError("differential expression needs values of at least 0")
                cells, expression = cells[expression > 0], expression[expression > 0]
            wins[:, gene], mean[:, gene] = _of_gene(expression, group[cells], size)
        spread = np.sqrt(n * m * (n + m + 1) / 12.0)
        scores = np.nan_to_num((wins - n * (m / 2)) / spread, nan=0.0)
        p = 2 * stats.norm.sf(np.abs(scores))
        mean = np.expm1(mean) + _FLOOR
        changes = np.log2(mean[:-1] / mean[-1])
    return DifferentialExpression(
        scores, changes, p, stats.false_discovery_control(p, axis=1) if p.size else p
    )


def _columns(values: count_matrix.CountMatrix) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Return (gene, its cells, their values) for each gene, without most zeros."""
    if sparse.issparse(values):
        chunks = [(0, sparse.csc_matrix(values))]
    else:
        step = max(1, _CHUNK_VALUES // max(1, values.shape[0]))
        starts = range(0, values.shape[1], step)
        chunks = ((i, sparse.csc_matrix(np.asarray(values[:, i : i + step]))) for i in starts)
    for first, chunk in chunks:
        for i in range(chunk.shape[1]):
            at = slice(chunk.indptr[i], chunk.indptr[i + 1])
            yield first + i, chunk.indices[at], chunk.data[at]


def _expression(values: np.ndarray, factor: np.ndarray | None) -> np.ndarray:
    if factor is None:
        return values.astype(np.float32)
    return np.log1p(values.astype(np.float32) * factor.astype(np.float32))


def _of_gene(
    expression: np.ndarray, group: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a gene's U of each group, [R], and mean of each group and the controls, [R + 1].

    `expression` are its values above 0 and `group` whose they are; `size` [R + 1] counts all cells.
    A value wins against every lower control and half against an equal one.
    """
    n_bins = len(size) + 1
    controls = np.sort(expression[group == n_bins - 2])
    at_zero = size[-1] - len(controls)
    below = np.searchsorted(controls, expression)
    won = below + at_zero
    equal = np.flatnonzero(np.append(controls, np.inf)[below] == expression)
    won[equal] += 0.5 * (np.searchsorted(controls, expression[equal], side="right") - below[equal])
    positive = np.bincount(group, minlength=n_bins)[:-1]
    total = np.bincount(group, weights=expression, minlength=n_bins)[:-1]
    wins = np.bincount(group, weights=won, minlength=n_bins)[:-2]
    return wins + (size - positive)[:-1] * (0.5 * at_zero), total / size
