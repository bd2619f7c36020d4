"""Counterfactual counts: the same perturbation at failed quality (docs/method.md 1)."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.random_by_name import draw_below

N_DRAWS = 50
_LEVELS = 4  # medians below this are found by matrix products, the few above by partition
_CHUNK_CELLS = 1024
_CHUNK_DRAWN = 1 << 24


def counterfactual_counts(
    counts: count_matrix.CountMatrix, group: np.ndarray, failed: np.ndarray, hashes: np.ndarray
) -> count_matrix.CountMatrix:
    """Give the counterfactual counts, [N, G], sparse where `counts` is.

    Each cell gets, per gene, the lower median over min(n, 50) draws with replacement of the n
    cells of its `group` ([N] integers, one per perturbation and split) that `failed` quality
    control ([N] bool); zeros where there is none. `hashes` [N] uint64 are the cells' random
    streams. Draws count the failed cells in the order of rows.
    """
    is_sparse = sparse.issparse(counts)
    counts = count_matrix.by_rows(counts)
    order, blocks = [], []
    dense = None if is_sparse else np.zeros_like(counts)
    for code in np.unique(group):
        members = np.flatnonzero(group == code)
        sources = members[failed[members]]
        n = len(sources)
        values = count_matrix.narrow(counts[sources]) if n else None
        for start in range(0, len(members), _CHUNK_CELLS):
            cells = members[start : start + _CHUNK_CELLS]
            if n == 0:
                block = np.zeros((len(cells), counts.shape[1]), np.uint8)
            else:
                draws = draw_below(hashes[cells], min(n, N_DRAWS), n)
                block = lower_median_of_draws(values, draws)
            if is_sparse:
                order.append(cells)
                blocks.append(sparse.csr_matrix(block))
            else:
                dense[cells] = block
    if dense is not None:
        return dense
    stacked = sparse.vstack(blocks, format="csr")
    return stacked[np.argsort(np.concatenate(order), kind="stable")]


def lower_median_of_draws(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Give the lower median of drawn rows: [n, G] values, [C, k] rows of it -> [C, G].

    A median is above v where fewer than ceil(k / 2) draws are at most v: one matrix product for
    v = 0, 1, 2, ... over the genes still open.
    """
    n_cells, k = draws.shape
    rank = (k + 1) // 2
    weight = np.zeros((n_cells, len(values)), np.float32)
    np.add.at(weight, (np.arange(n_cells)[:, None], draws), 1)
    medians = np.zeros((n_cells, values.shape[1]), values.dtype)
    still_open = np.arange(values.shape[1])
    for level in range(_LEVELS):
        at_most = weight @ (values[:, still_open] <= level).astype(np.float32)
        above = at_most < rank - 0.5
        medians[:, still_open] += above
        still_open = still_open[above.any(axis=0)]
    step = max(1, _CHUNK_DRAWN // (n_cells * k))
    for start in range(0, len(still_open), step):
        genes = still_open[start : start + step]
        drawn = values[:, genes][draws]
        medians[:, genes] = np.partition(drawn, rank - 1, axis=1)[:, rank - 1]
    return medians
