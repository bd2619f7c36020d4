"""Recovery of a known network: the ranking of edges against the truth."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score


class Recovery(NamedTuple):
    """The ranking of edges by probability scored against a known network."""

    auprc: float  # area under the precision-recall curve (average precision)
    random_auprc: float  # of a random ranking: the share of pairs that are true edges
    auroc: float
    n_true: int
    n_possible: int

    @property
    def ratio(self) -> float:
        """Return AUPRC as a multiple of that of a random ranking."""
        return self.auprc / self.random_auprc


def judged_pairs(
    n_treatments: int,
    n_perturbed: int,
    *,
    block: bool = False,
    measured: np.ndarray | None = None,
) -> np.ndarray:
    """Return which pairs the data can judge, [T, T] bool: a perturbed source and another treatment.

    Args:
      n_treatments: T.
      n_perturbed: R; the first R treatments are perturbed.
      block: whether targets must be perturbed as well.
      measured: [T], whether a treatment's gene is measured; unmeasured targets are left out.
    """
    counted = ~np.eye(n_treatments, dtype=bool)
    counted[n_perturbed:] = False
    if block:
        counted[:, n_perturbed:] = False
    if measured is not None:
        counted &= np.asarray(measured) != 0
    return counted


def recovery(
    probabilities: np.ndarray,
    truth: np.ndarray,
    n_perturbed: int,
    *,
    counted: np.ndarray | None = None,
) -> Recovery:
    """Score the ranking of pairs by edge probability against a known network.

    Args:
      probabilities: [T, T].
      truth: [T, T], non-zero for an edge.
      n_perturbed: R; the first R treatments are perturbed.
      counted: [T, T] bool, the pairs that are ranked; by default those of `judged_pairs`.

    Raises:
      ValueError: none or all of the ranked pairs are true edges.
    """
    if counted is None:
        counted = judged_pairs(len(truth), n_perturbed)
    score: Any = probabilities[counted]
    label = truth[counted] != 0
    n_true = int(label.sum())
    if n_true in (0, len(label)):
        raise ValueError(f"{n_true} of {len(label)} possible edges are true: nothing to rank")
    return Recovery(
        auprc=float(average_precision_score(label, score)),
        random_auprc=n_true / len(label),
        auroc=float(roc_auc_score(label, score)),
        n_true=n_true,
        n_possible=len(label),
    )
