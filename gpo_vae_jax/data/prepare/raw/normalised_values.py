"""Values that are no counts although they look like some: normalised, log-transformed, rounded."""

from __future__ import annotations

import numpy as np
from scipy.special import chdtri

from gpo_vae_jax.data import counts as count_matrix

_BLOCKS, _BLOCK = 10, 200  # slices of rows, and cells of each, inspected to tell what values are
_FEWEST_CELLS = 30  # for a judgement on library sizes
_LEAST_DISPERSION = 0.5  # variance of library sizes over their mean; counts have at least 1
_SMALL = 20.0  # mean library size below which nothing can be told
_TRIMMED = 0.75  # about the variance of normal values without 2 % at each end
_RARE = 1e-6  # probability of a dispersion as small by chance
_SEVERAL = 5  # genes at a value
_DOWNSAMPLED = 0.3  # share of cells with the largest library size: counts drawn down to it
_MANY_ZEROS = 0.3  # share from which a cell of counts has a value of 1
_LARGEST_LOG = 25.0  # no log-transformed value is larger


def sample_rows(matrix: count_matrix.CountMatrix) -> np.ndarray:
    """Return some cells of a matrix, [n, F] dense float64, from evenly spread blocks of rows."""
    matrix = count_matrix.by_rows(matrix)
    starts = np.unique(np.linspace(0, max(matrix.shape[0] - _BLOCK, 0), _BLOCKS).astype(int))
    ends = np.minimum(starts + _BLOCK, np.append(starts[1:], matrix.shape[0]))
    parts = [
        count_matrix.dense_rows(matrix, slice(int(a), int(b))).astype(np.float64)
        for a, b in zip(starts, ends, strict=True)
    ]
    return np.concatenate(parts)


def normalised(values: np.ndarray) -> str:
    """Return why some cells [n, F] are plainly normalised, or "" if they are not.

    Chance alone makes the library sizes of counts vary: their variance is at least about their
    mean. Equal library sizes of whole numbers are a result of downsampling, and pass.
    """
    if len(values) < _FEWEST_CELLS or not np.isfinite(values).all() or values.min() < 0:
        return ""
    whole = bool((values == np.floor(values)).all())
    if not whole and values.max() < _LARGEST_LOG:
        counts = np.expm1(values)
        if np.abs(counts - np.round(counts)).max() < 1e-3 * max(1.0, counts.max()):
            return "they are log(1 + x) of whole numbers"
        if _even(counts.sum(axis=1)):
            return "library sizes before log(1 + x) are all the same"
    if whole and _with_gaps(values):
        return "most cells lack a small value between others, as multiples of a factor do"
    total = values.sum(axis=1)
    downsampled = whole and (total == total.max()).mean() > _DOWNSAMPLED
    if _even(total) and not downsampled and not (whole and total.mean() < _SMALL):
        low, high = np.quantile(total, [0.01, 0.99])
        return f"library sizes of {low:,.0f} to {high:,.0f} vary less than chance lets counts vary"
    return ""


def _with_gaps(values: np.ndarray) -> bool:
    """Return whether many cells have several genes at v - 1 and v + 1 but none at a v below 8.

    Genes of sparse counts are the fewer the higher the count, without gaps.
    """
    at = np.stack([(values == v).sum(axis=1) for v in range(1, 9)])
    gap = (at[1:-1] == 0) & (at[:-2] >= _SEVERAL) & (at[2:] >= _SEVERAL)
    return bool(gap.any(axis=0).mean() > _DOWNSAMPLED)


def _even(total: np.ndarray) -> bool:
    """Return whether library sizes, but for the most extreme, vary less than those of counts."""
    total = np.sort(total[total > 0])
    if len(total) < _FEWEST_CELLS:
        return False
    cut = max(1, len(total) // 50)
    total = total[cut:-cut]
    freedom = len(total) - 1
    by_chance = _TRIMMED * chdtri(freedom, 1 - _RARE) / freedom
    return bool(total.var() < min(_LEAST_DISPERSION, by_chance) * max(total.mean(), 1.0))


def far_from_one(values: np.ndarray) -> bool:
    """Return whether most of some cells [n, F] have zeros but no value of 1, as few counts do."""
    if len(values) < _FEWEST_CELLS or (values == 0).mean() < _MANY_ZEROS:
        return False
    least = np.where(values > 0, values, np.inf).min(axis=1)
    least = least[np.isfinite(least)]
    return bool(len(least)) and bool((least >= 2).mean() >= 0.5)
