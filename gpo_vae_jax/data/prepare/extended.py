"""Extended genes: the strongest responder of each perturbation (docs/method.md 7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.labels import group_by_label
from gpo_vae_jax.data.prepare.differential import rank_genes


def passes(
    log_fold_change: np.ndarray, p: np.ndarray, rule: str, least_change: float, p_below: float
) -> np.ndarray:
    """Return which genes respond: |log fold change| above and adjusted p below their limits.

    With the `rule` "both" the p-value counts in both directions; with "up_only" only for genes that
    go up, as published for RPE1 and K562.
    """
    significant = p < p_below
    up = (log_fold_change > least_change) & significant
    down = log_fold_change < -least_change
    return up | (down & significant if rule == "both" else down)


def extended_genes(
    counts: count_matrix.CountMatrix,
    labels: np.ndarray,
    control: str,
    genes: Sequence[str],
    perturbed: Sequence[str],
    *,
    rule: str,
    least_change: float,
    p_below: float,
) -> tuple[str, ...]:
    """Return the extended genes, sorted.

    For each perturbation: of the genes that pass, the one with the highest Wilcoxon score against
    control cells (normalised, log1p). Perturbed genes are left out. Perturbations with fewer than
    two cells are not tested.

    Args:
      counts: [N, G].
      labels: [N] the perturbation of each cell.
      control: the label of control cells.
      genes: G names.
      perturbed: names of the perturbed genes.
      rule: "both", "up_only" or "none".
      least_change: limit of |log2 fold change|.
      p_below: limit of the adjusted p-value.
    """
    names, code = group_by_label(labels)
    is_control = labels == control
    tested = np.flatnonzero((np.bincount(code) > 1) & (names != control))
    if rule == "none" or not len(tested) or is_control.sum() < 2:
        return ()
    number = np.full(len(names), -1)
    number[tested] = np.arange(len(tested))
    factor = count_matrix.normalisation(count_matrix.library_size(counts))
    result = rank_genes(counts, number[code], len(tested), is_control, factor)
    responds = passes(result.log_fold_changes, result.p_adjusted, rule, least_change, p_below)
    scores = np.where(responds, result.scores, -np.inf)
    best = np.argmax(scores, axis=1)[responds.any(axis=1)]
    return tuple(sorted({str(genes[i]) for i in best} - set(perturbed)))
