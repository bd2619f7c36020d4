"""Cells whose target is knocked down (docs/data.md)."""

from __future__ import annotations

import numpy as np

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.memory import DENSE_GIB, items_within, numbers_within, pieces

_CHUNK_VALUES = numbers_within(DENSE_GIB, 8)


def low_limits(controls: count_matrix.CountMatrix, percentile: float) -> np.ndarray:
    """Return the percentile of each gene over control cells [M, R], [R], linearly interpolated."""
    limits = np.full(controls.shape[1], np.nan)
    for part in pieces(controls.shape[1], items_within(_CHUNK_VALUES, controls.shape[0])):
        which = np.arange(part.start, part.stop)
        values = count_matrix.columns(controls, which).astype(np.float64)
        limits[which] = np.quantile(values, percentile / 100, axis=0, method="linear")
    return limits


def knocked_down(own: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Return which cells have all their targets at or below the limit, [N] bool.

    Args:
      own: [N, K] expression of each cell's own targets; nan if not measured or fewer than K.
      limits: [N, K] their limits; nan: no limit.
    """
    return np.logical_not((own > limits).any(axis=1))


def own_expression(counts: count_matrix.CountMatrix, targets: np.ndarray) -> np.ndarray:
    """Return the counts of each cell's own targets, [N, K] float64; nan where `targets` is -1."""
    own = np.full(targets.shape, np.nan)
    cell, slot = np.nonzero(targets >= 0)
    own[cell, slot] = np.asarray(counts[cell, targets[cell, slot]], np.float64).ravel()
    return own
