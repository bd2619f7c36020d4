"""Sums of counts over groups of cells, and how far they are from those of control cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from gpo_vae_jax.data import counts as count_matrix

_HALF = 0.5  # a count, added to both sums of a fold change


class Reference(NamedTuple):
    """Sums over control cells: all, and two halves of them."""

    total: np.ndarray  # [3, G] counts
    library: np.ndarray  # [3] total counts
    dispersion: np.ndarray  # [G] variance of counts / their mean, at least 1


def reference_of(counts: count_matrix.CountMatrix, controls: np.ndarray) -> Reference:
    """Sum the control cells, `controls` [M] rows, in all and in two halves (every other cell)."""
    n_genes = counts.shape[1]
    half, squares, library = np.zeros((2, n_genes)), np.zeros(n_genes), np.zeros(2)
    for part in count_matrix.row_chunks((len(controls), n_genes)):
        block, which = counts[controls[part]], np.arange(part.start, part.stop) % 2
        size = np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()
        half += group_sums(block, which, 2)
        library += np.bincount(which, size, minlength=2)
        over_size = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
        squared = block.astype(np.float64)
        squared = squared.power(2) if sparse.issparse(squared) else squared**2
        squares += np.asarray(over_size @ squared).ravel()
    total, all_counts = half.sum(axis=0), library.sum()
    # Pearson's chi-squared of counts with means proportional to the cell's total
    with np.errstate(divide="ignore", invalid="ignore"):
        chi = squares * all_counts / total - total
    dispersion = np.maximum(np.nan_to_num(chi / max(1, len(controls) - 1), nan=1.0), 1.0)
    return Reference(np.vstack([total, half]), np.append(all_counts, library), dispersion)


def group_sums(counts: count_matrix.CountMatrix, group: np.ndarray, n_groups: int) -> np.ndarray:
    """Sum the counts [n, G] of the cells of each group, `group` [n] of `n_groups`; float64."""
    n = len(group)
    member = sparse.csr_matrix((np.ones(n), (group, np.arange(n))), (n_groups, n))
    sums = member @ counts
    return sums.toarray() if sparse.issparse(sums) else np.asarray(sums)


def scores(total: np.ndarray, library: float, reference: Reference, which: int) -> np.ndarray:
    """Return how far sums are from those expected of control cells, in standard errors, [G].

    Below the expectation the difference is divided by its standard error, above it square roots
    are compared: both are conservative where counts are few.

    Args:
      total: [G] sums.
      library: their sum.
      reference: of the control cells.
      which: 0 all controls; 1 or 2 one half of them.
    """
    controls = reference.library[which]
    ratio = library / controls if controls else np.inf
    if not np.isfinite(ratio) or not library:
        return np.zeros(len(total))
    expected = reference.total[which] * ratio
    low = (total - expected) / np.sqrt(np.maximum(expected, 1e-12))
    high = 2 * (np.sqrt(total + 0.375) - np.sqrt(expected + 0.375))
    return np.where(total < expected, low, high) / np.sqrt(reference.dispersion * (1 + ratio))


def fold_changes(total: np.ndarray, library: float, reference: Reference) -> np.ndarray:
    """Return the log2 fold changes of sums against all controls, [G]; half a count is added."""
    ratio = library / max(reference.library[0], 1.0)
    return np.log2((total + _HALF) / (reference.total[0] * ratio + _HALF))


def fold_change_of(
    gene: int, total: np.ndarray, library: float, reference: Reference
) -> tuple[float, float]:
    """Return the log2 fold change of one gene and its standard error; nan without controls.

    Half a count is added to both sums, before they are brought to one size.
    """
    if not reference.library[0] or not library:
        return np.nan, np.nan
    own, controls = total[gene] + _HALF, reference.total[0, gene] + _HALF
    change = np.log2(own / controls * reference.library[0] / library)
    error = np.sqrt(reference.dispersion[gene] * (1 / own + 1 / controls)) / np.log(2)
    return float(change), float(error)
