"""Euclidean distances between cells, by matrix products but as exact as by differences."""

from __future__ import annotations

import numpy as np

from gpo_vae_jax.memory import items_within, pieces

_NEAR = 1e-6  # squares below this share of the squared length are computed by differences
_CHUNK_VALUES = 1 << 21  # differences at a time


def euclidean(cells: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Return the distances of cells [n, R] from controls [m, R], [n, m] float64.

    |x - c|^2 = |x|^2 + |c|^2 - 2 x c loses digits for close pairs, so those few are computed by
    differences: equal cells are exactly 0 apart, and other distances have a relative error of about
    1e-9.
    """
    cells = np.ascontiguousarray(cells, np.float64)
    controls = np.ascontiguousarray(controls, np.float64)
    lengths = np.einsum("ij,ij->i", controls, controls)
    squares = cells @ controls.T
    squares *= -2
    squares += lengths
    squares += np.einsum("ij,ij->i", cells, cells)[:, None]
    for i in range(len(cells)):
        near = np.flatnonzero(squares[i] <= _NEAR * lengths)
        for part in pieces(len(near), items_within(_CHUNK_VALUES, cells.shape[1])):
            some = near[part]
            squares[i, some] = np.square(cells[i] - controls[some]).sum(axis=1)
    return np.sqrt(squares, out=squares)


def first_of_largest(values: np.ndarray, tolerance: float) -> np.ndarray:
    """Return the first column of each row, [n], whose value is within `tolerance` of the largest.

    Values that differ only by rounding then count as equal.
    """
    return np.argmax(values >= values.max(axis=1, keepdims=True) - tolerance, axis=1)
