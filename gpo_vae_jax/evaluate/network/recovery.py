"""How well a known network is recovered: ranking of edges against the truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score


class Recovery(NamedTuple):
    """Hold how the ranking of edges by probability compares with a known network."""

    auprc: float  # area under the precision-recall curve (average precision)
    random_auprc: float  # what a random ranking reaches: the share of true edges
    auroc: float
    n_true: int
    n_possible: int

    @property
    def ratio(self) -> float:
        """Return how many times better than random the ranking is."""
        return self.auprc / self.random_auprc


def judged_pairs(
    n_treatments: int,
    n_perturbed: int,
    *,
    block: bool = False,
    measured: np.ndarray | None = None,
) -> np.ndarray:
    """Mark the pairs of which the data says something, [T, T] bool.

    Those are pairs of a perturbed source and another treatment.

    Args:
      block: targets are perturbed as well.
      measured: [T], whether a treatment's gene is measured; targets that are not are left out.
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
    """Compare edge probabilities, [T, T], with a known network, [T, T] (non-zero = an edge).

    Args:
      counted: [T, T] bool, the pairs compared; unset: those from perturbed treatments to others.

    Raises:
      ValueError: the known network has none or all of these edges.
    """
    if counted is None:
        counted = judged_pairs(len(truth), n_perturbed)
    score, label = probabilities[counted], truth[counted] != 0
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
