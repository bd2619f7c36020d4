"""Genes that respond to perturbations: of each the strongest, or the most responsive of all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.labels import group_by_label
from gpo_vae_jax.data.prepare.differential import DifferentialExpression, rank_genes


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
    """Return the extended genes, sorted (docs/method.md 7).

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
    result = _tested(counts, labels, control, genes) if rule != "none" else None
    if result is None:
        return ()
    responds = passes(result.log_fold_changes, result.p_adjusted, rule, least_change, p_below)
    scores = np.where(responds, result.scores, -np.inf)
    best = np.argmax(scores, axis=1)[responds.any(axis=1)]
    return tuple(sorted({str(genes[i]) for i in best} - set(perturbed)))


def most_responsive(
    counts: count_matrix.CountMatrix,
    labels: np.ndarray,
    control: str,
    genes: Sequence[str],
    perturbed: Sequence[str],
    n: int,
) -> tuple[str, ...]:
    """Return the n genes, besides the perturbed, with the largest |Wilcoxon score|, sorted.

    The largest score over all perturbations counts. Arguments are those of `extended_genes`.
    """
    result = _tested(counts, labels, control, genes)
    if result is None:
        return ()
    largest = np.abs(result.scores).max(axis=0)
    largest[np.isin(np.asarray(genes, dtype=str), list(perturbed))] = -1
    order = np.argsort(-largest, kind="stable")[:n]
    return tuple(sorted(str(genes[i]) for i in order if largest[i] > 0))


def _tested(
    counts: count_matrix.CountMatrix, labels: np.ndarray, control: str, genes: Sequence[str]
) -> DifferentialExpression | None:
    """Test every perturbation with two cells against control cells; None if there is none."""
    names, code = group_by_label(labels)
    is_control = labels == control
    tested = np.flatnonzero((np.bincount(code) > 1) & (names != control))
    if not len(tested) or is_control.sum() < 2:
        return None
    number = np.full(len(names), -1)
    number[tested] = np.arange(len(tested))
    factor = count_matrix.normalisation(count_matrix.library_size(counts))
    return rank_genes(counts, number[code], len(tested), is_control, factor)
