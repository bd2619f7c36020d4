"""Pearson correlation of finite values."""

from __future__ import annotations

import math

import numpy as np


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Return Pearson's r of two arrays of one shape, over the entries finite in both.

    nan where fewer than two entries are left, or where either array does not vary.
    """
    x, y = np.asarray(x, np.float64).ravel(), np.asarray(y, np.float64).ravel()
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(x @ x)) * math.sqrt(float(y @ y))
    return float(np.clip((x @ y) / scale, -1, 1)) if scale > 0 else math.nan


def row_pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Pearson's r of each row of two [C, G] arrays, [C]; nan as in `pearson`."""
    return np.array([pearson(a, b) for a, b in zip(x, y, strict=True)], np.float64)
