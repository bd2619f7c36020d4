"""Counterfactual counts: the same perturbation at failed quality (docs/method.md 1)."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.sparse_rows import SparseRows
from gpo_vae_jax.memory import DENSE_GIB, items_within, numbers_within, pieces
from gpo_vae_jax.statistics.random_by_name import draw_below

N_DRAWS = 50
_LEVELS = 4  # medians below this are found by matrix products, the few others by partition
_CHUNK_CELLS = 1024
_CHUNK_VALUES = numbers_within(DENSE_GIB, 8)


def counterfactual_counts(
    counts: count_matrix.CountMatrix, group: np.ndarray, failed: np.ndarray, hashes: np.ndarray
) -> count_matrix.CountMatrix:
    """Return the counterfactual counts, [N, G], sparse if `counts` is.

    A cell's counterfactual is, gene by gene, the lower median over min(n, 50) draws with
    replacement from the n failed cells of its group; zeros if there are none.

    Args:
      counts: [N, G].
      group: [N] integers, one per perturbation and split.
      failed: [N] bool, the cells that failed quality control.
      hashes: [N] uint64, one random stream per cell. Draws index the failed cells in row order.
    """
    counts = count_matrix.by_rows(counts)
    rows = SparseRows(counts.shape) if sparse.issparse(counts) else np.zeros_like(counts)
    for code in np.unique(group):
        members = np.flatnonzero(group == code)
        sources = members[failed[members]]
        n = len(sources)
        if n == 0:
            continue
        values = count_matrix.narrow(counts[sources])
        for part in pieces(len(members), _CHUNK_CELLS):
            cells = members[part]
            draws = draw_below(hashes[cells], min(n, N_DRAWS), n)
            block = lower_median_of_draws(values, draws)
            if isinstance(rows, SparseRows):
                rows.add(cells, sparse.csr_matrix(block))
            else:
                rows[cells] = block
    return rows.matrix() if isinstance(rows, SparseRows) else rows


def lower_median_of_draws(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the lower median of the drawn rows of `values`, [C, G].

    A median exceeds v if fewer than ceil(k / 2) draws are at most v: one matrix product for each
    v = 0, 1, 2, ..., over the genes that are still open.

    Args:
      values: [n, G] counts.
      draws: [C, k] rows of `values`.
    """
    n_cells, k = draws.shape
    rank = (k + 1) // 2
    weight = np.zeros((len(values), n_cells), np.float32)
    np.add.at(weight, (draws, np.arange(n_cells)[:, None]), 1)
    medians = np.zeros((values.shape[1], n_cells), values.dtype)  # transposed until the end
    present = np.flatnonzero(values.any(axis=0))
    for part in pieces(len(present), items_within(_CHUNK_VALUES, max(n_cells, len(values)))):
        genes = present[part]
        values_of = np.ascontiguousarray(values[:, genes].T)
        for level in range(_LEVELS):
            above = (values_of <= level).astype(np.float32) @ weight < rank - 0.5
            still_open = above.any(axis=1)
            genes, values_of = genes[still_open], values_of[still_open]
            medians[genes] += above[still_open]
        for some in pieces(len(genes), items_within(_CHUNK_VALUES, n_cells * k)):
            drawn = values_of[some][:, draws]
            drawn.partition(rank - 1, axis=2)
            medians[genes[some]] = drawn[:, :, rank - 1]
    return np.ascontiguousarray(medians.T)
