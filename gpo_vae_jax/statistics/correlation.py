"""Pearson correlation: the only one of the package."""

from __future__ import annotations

import numpy as np


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Return Pearson's r of two arrays of one shape, over the entries finite in both.

    nan where fewer than two entries are left, or where either array is constant.
    """
    x, y = np.asarray(x, np.float64).ravel(), np.asarray(y, np.float64).ravel()
    finite = np.isfinite(x) & np.isfinite(y)
    return float(cross_pearson(x[finite, None], y[finite, None])[0, 0])


def row_pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Pearson's r of each row of two [C, G] arrays, [C]; nan as in `pearson`."""
    return np.array([pearson(a, b) for a, b in zip(x, y, strict=True)], np.float64)


def cross_pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Pearson's r of every column of x [n, a] with every column of y [n, b], [a, b].

    nan where either column is constant, and everywhere if n < 2.
    """
    if len(x) < 2:
        return np.full((x.shape[1], y.shape[1]), np.nan)
    return np.clip(_unit_columns(x).T @ _unit_columns(y), -1, 1)


def _unit_columns(values: np.ndarray) -> np.ndarray:
    """Centre columns and scale them to length 1; a constant column becomes nan."""
    values = np.asarray(values, np.float64)
    centred = values - values.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    varies = (np.ptp(values, axis=0) > 0) & (length > 0)
    return np.divide(centred, length, out=np.full(values.shape, np.nan), where=varies)
