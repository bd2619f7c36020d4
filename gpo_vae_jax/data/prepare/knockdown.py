"""Keep the perturbed cells in which the perturbation shows (docs/data.md)."""

from __future__ import annotations

import numpy as np

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.memory import DENSE_GIB, items_within, numbers_within, pieces

_CHUNK_VALUES = numbers_within(DENSE_GIB, 8)


def low_limits(controls: count_matrix.CountMatrix, percentile: float) -> np.ndarray:
    """Return the percentile of each gene, [R], in control cells [M, R], linearly interpolated."""
    limits = np.full(controls.shape[1], np.nan)
    for part in pieces(controls.shape[1], items_within(_CHUNK_VALUES, controls.shape[0])):
        which = np.arange(part.start, part.stop)
        values = count_matrix.columns(controls, which).astype(np.float64)
        limits[which] = np.quantile(values, percentile / 100, axis=0, method="linear")
    return limits


def knocked_down(own: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Say which cells hold every one of their targets at or below its limit, [N] bool.

    `own` [N, K] is the expression of the cell's own targets and `limits` [N, K] their limits; nan
    in either (not measured, or fewer than K targets) is left alone.
    """
    return ~(own > limits).any(axis=1)


def own_expression(counts: count_matrix.CountMatrix, targets: np.ndarray) -> np.ndarray:
    """Return the counts of each cell's own targets, [N, K] float64, nan where `targets` is -1."""
    own = np.full(targets.shape, np.nan)
    cell, slot = np.nonzero(targets >= 0)
    own[cell, slot] = np.asarray(counts[cell, targets[cell, slot]], np.float64).ravel()
    return own
