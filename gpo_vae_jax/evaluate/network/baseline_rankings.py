"""Rankings of gene pairs that need no model: baselines for the learned network (8.4).

All are computed from training cells only, for perturbed sources and measured targets.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gpo_vae_jax.statistics.pair_changes import ridge_deconvolution

RANKINGS: Mapping[str, str] = {
    "fold_change": "absolute log fold change",
    "z": "absolute z score",
    "ridge": "ridge deconvolution",
    "random": "random",
}


def baseline_rankings(
    change: np.ndarray, error: np.ndarray, *, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return a score of every (source, target) pair by ranking, each [T, T]; larger ranks higher.

    Pairs whose change is not known are 0.

    Args:
      change: [T, T] observed log fold changes (`statistics.pair_changes`).
      error: [T, T] their standard errors.
      seed: of the random ranking.
    """
    known = np.isfinite(change)
    z = np.divide(change, error, out=np.zeros(change.shape), where=known & (error > 0))
    return {
        "fold_change": np.abs(np.where(known, change, 0)),
        "z": np.abs(np.where(known, z, 0)),
        "ridge": np.abs(ridge_deconvolution(change)),
        "random": np.random.default_rng(seed).random(change.shape),
    }
