"""Every metric of predicted effects, as the metric table lists them (docs/method.md 8.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpo_vae_jax.evaluate.effects.effect_scores import overlap_of_responding
from gpo_vae_jax.evaluate.metrics import effect_metrics_of


def effect_metrics(
    observed: np.ndarray,
    predicted: np.ndarray,
    *,
    error: np.ndarray | None = None,
    top: int = 20,
    top_sets: Sequence[int] = (20, 50),
) -> dict[str, float]:
    """Score predicted effects against observed ones, by name of the metric.

    Perturbations (rows) that either side lacks are left out. An undefined score is nan: fewer than
    two values, or values that do not vary.

    Args:
      observed: [C, G].
      predicted: [C, G].
      error: [C, G] standard errors of the observed effects; with them `de_overlap` is scored, too.
      top: strongest genes of a perturbation that `pearson_top` and `r2_top` look at.
      top_sets: numbers of strongest genes; each adds one `jaccard_N`.
    """
    rows = np.isfinite(observed).all(axis=1) & np.isfinite(predicted).all(axis=1)
    observed = np.asarray(observed, np.float64)[rows]
    predicted = np.asarray(predicted, np.float64)[rows]
    found = {
        row.name: row.of_effects(observed, predicted, n)
        for row, n in effect_metrics_of(top, tuple(top_sets))
        if row.of_effects is not None
    }
    if error is not None:
        found["de_overlap"] = overlap_of_responding(observed, error[rows], predicted)
    return found
