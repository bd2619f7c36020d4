"""Whether the kinds of control cells are alike: each kind beside the others.

Measured on simulated controls without batches (1,000 genes, 3,000 counts a cell, 4 kinds): none of
400 alike kinds stood out. A kind with 10 genes changed by half or twofold was found in 11 of 20
cases at 60 cells and in 20 of 20 at 200; changed by a third or threefold, in 15 of 20 at 30 cells
and in 18 of 20 at 60.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import ndtr

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.prepare.control_sums import group_sums
from gpo_vae_jax.data.prepare.differential import rank_genes

ALIKE, STANDS_OUT, UNTESTED, ALL_OTHERS = "alike", "stands out", "too few cells", "no others"
FEWEST_CELLS = 10  # of a kind that is tested, and of the others
MOST_KINDS = 50
P_BELOW = 0.05  # adjusted p-value of a gene that differs
LEAST_CHANGE = 0.5  # its |log2 fold change|
FEWEST_GENES, GENE_SHARE = 5, 0.05  # that differ in a kind that stands out: the fewer of the two
LARGEST_SHARE = 0.5  # of the controls: a larger kind is what the others are measured by
_MOST_CELLS = 20_000  # compared


def compare_controls(
    counts: count_matrix.CountMatrix, genes: Sequence[str], kind: np.ndarray
) -> list[dict[str, Any]]:
    """Compare each kind of control cells with all other control cells.

    A gene differs if its adjusted p-value (Wilcoxon) is below 0.05 and its |log2 fold change| above
    0.5. A kind "stands out" if at least 5 genes differ (fewer in panels below 100 genes: 5 % of
    them) and it has at most half of the cells. The kind with the most such genes is taken out, and
    the others are compared again without it, until none stands out; so one odd kind does not make
    the others differ from it. Of more than 20,000 cells, an even choice is compared.

    Args:
      counts: [N, G] raw counts of control cells only, dense or CSR.
      genes: G names.
      kind: [N] text, the kind of each cell, such as its label before preparation.

    Returns:
      A row for each of the 50 largest kinds, the largest first: kind, cells, median_umi,
      median_genes, genes_changed and top_genes (the 5 of the largest |log2 fold change|, joined by
      spaces), verdict: "alike", "stands out", "too few cells" (under 10: not tested; genes_changed
      is nan) or "no others" (all the others stand out). Nothing for fewer than two kinds.
    """
    names, code, cells = np.unique(np.asarray(kind, dtype=str), return_inverse=True,
                                   return_counts=True)  # fmt: skip
    if len(names) < 2:
        return []
    code, counts = code.ravel(), count_matrix.by_rows(counts)
    umi, detected = count_matrix.library_size(counts), count_matrix.genes_per_cell(counts)
    largest = np.argsort(-cells, kind="stable")[:MOST_KINDS]
    tested = {int(k) for k in largest if cells[k] >= FEWEST_CELLS}
    changed, odd = _odd_kinds(*_compared(counts, umi, code), len(names), cells, tested)
    rows = []
    for k in map(int, largest):
        own = code == k
        verdict = ALIKE if k in changed else ALL_OTHERS
        verdict = UNTESTED if k not in tested else STANDS_OUT if k in odd else verdict
        found = changed.get(k)
        rows.append({
            "kind": str(names[k]),
            "cells": int(cells[k]),
            "median_umi": float(np.median(umi[own])),
            "median_genes": float(np.median(detected[own])),
            "genes_changed": math.nan if found is None else len(found),
            "top_genes": "" if found is None else " ".join(str(genes[j]) for j in found[:5]),
            "verdict": verdict,
        })  # fmt: skip
    return rows


def _compared(
    counts: count_matrix.CountMatrix, umi: np.ndarray, code: np.ndarray
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return log-normalised expression [M, G] of an even choice of cells, and their kinds [M]."""
    some = np.arange(len(code))
    if len(some) > _MOST_CELLS:
        some = np.linspace(0, len(code) - 1, _MOST_CELLS).astype(np.int64)
    values = sparse.csr_matrix(counts[some], dtype=np.float32)
    if not umi.any():
        return values, code[some]
    factor = count_matrix.normalisation(umi)[some].astype(np.float32)
    values.data = np.log1p(values.data * np.repeat(factor, np.diff(values.indptr)))
    return values, code[some]


def _odd_kinds(
    values: sparse.csr_matrix, code: np.ndarray, n_kinds: int, cells: np.ndarray, tested: set[int]
) -> tuple[dict[int, np.ndarray], set[int]]:
    """Take out the kind that differs most, again and again.

    Returns:
      The genes that differ by kind, the most changed first, of every kind that could be compared;
      and the kinds that stand out.
    """
    odd: set[int] = set()
    changed: dict[int, np.ndarray] = {}
    enough = max(1, min(FEWEST_GENES, math.ceil(GENE_SHARE * values.shape[1])))
    while True:
        left = tested - odd
        found = genes_that_differ(values, code, n_kinds, left, ~np.isin(code, list(odd)))
        changed = {k: changed[k] for k in odd} | found
        most = LARGEST_SHARE * cells.sum()
        odd_now = [k for k in found if len(found[k]) >= enough and cells[k] <= most]
        if not odd_now:
            return changed, odd
        odd.add(max(odd_now, key=lambda k: (len(found[k]), -cells[k], k)))


def genes_that_differ(
    values: sparse.csr_matrix, code: np.ndarray, n_kinds: int, kinds: set[int], used: np.ndarray
) -> dict[int, np.ndarray]:
    """Return the genes in which each of some kinds differs from all other cells, by kind.

    One ranking serves all kinds: a kind wins half of its comparisons with itself, so that its rank
    sum against all cells, its own included, lies as far from the mean as that against the others.

    Args:
      values: [M, G] log-normalised expression.
      code: [M] kind of each cell, below `n_kinds`.
      n_kinds: number of kinds.
      kinds: those to test; left out are those without enough other cells.
      used: [M] bool, the cells to compare.

    Returns:
      Columns, by kind, the largest |log2 fold change| first.
    """
    from scipy.stats import false_discovery_control  # takes half a second to import

    values, code = sparse.csr_matrix(values[used]), code[used]
    n, size = len(code), np.bincount(code, minlength=n_kinds)
    kinds = {k for k in kinds if min(size[k], n - size[k]) >= FEWEST_CELLS}
    if not kinds:
        return {}
    chosen = np.array(sorted(kinds))
    group = np.full(n_kinds, -1)
    group[chosen] = np.arange(len(chosen))
    both = sparse.vstack([values, values]).tocsr()
    every = np.append(np.zeros(n, bool), np.ones(n, bool))
    scores = rank_genes(both, np.tile(group[code], 2), len(chosen), every).scores
    own = size[chosen][:, None].astype(np.float64)
    rest = n - own
    scores *= np.sqrt(n * (own + n + 1) / (rest * (n + 1)))
    p = false_discovery_control(2 * ndtr(-np.abs(scores)), axis=1)
    sums = group_sums(values, code, n_kinds)
    total, sums = sums.sum(axis=0), sums[chosen]
    floor = 1e-9
    change = np.log2((np.expm1(sums / own) + floor) / (np.expm1((total - sums) / rest) + floor))
    found = {}
    for i, k in enumerate(chosen.tolist()):
        which = np.flatnonzero((p[i] < P_BELOW) & (np.abs(change[i]) > LEAST_CHANGE))
        found[k] = which[np.argsort(-np.abs(change[i, which]), kind="stable")]
    return found
