"""Learned masks and latent effects against the truth of simulated data (docs/method.md 8.8)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from gpo_vae_jax.evaluate.network.recovery import judged_pairs, recovery
from gpo_vae_jax.statistics.correlation import cross_pearson
from gpo_vae_jax.types import Dataset


def mask_statistics(true: np.ndarray, estimated: np.ndarray) -> dict[str, float]:
    """Return precision, recall and F1 of a mask of the true mask's shape; nan for 0 / 0."""
    true, estimated = np.asarray(true, bool), np.asarray(estimated, bool)
    shared, called, known = (int(a.sum()) for a in (true & estimated, estimated, true))
    return {
        "precision": shared / called if called else math.nan,
        "recall": shared / known if known else math.nan,
        "f1": 2 * shared / (called + known) if called + known else math.nan,
    }


def matched_columns(true: np.ndarray, estimated: np.ndarray) -> np.ndarray:
    """Match each column of the true mask, [n, a], to one of the estimated mask, [n, b].

    The matching is one to one and maximises the number of shared entries. As all columns are
    matched (a <= b), it also minimises the number of differing entries.

    Returns:
      [a], the matched columns of the estimated mask.

    Raises:
      ValueError: there are fewer estimated columns than true ones.
    """
    true, estimated = np.asarray(true, bool), np.asarray(estimated, bool)
    if true.shape[1] > estimated.shape[1]:
        raise ValueError(f"{true.shape[1]} true columns and only {estimated.shape[1]} estimated")
    shared = true.T.astype(int) @ estimated.astype(int)
    return linear_sum_assignment(shared, maximize=True)[1]


def linear_score(true: np.ndarray, estimated: np.ndarray) -> float:
    """Return the mean R² of regressing true latents, [n, a], on estimated ones, [n, b].

    Ordinary least squares with an intercept. Constant true latents are left out; nan if all are
    constant. With at most b + 1 observations the fit is exact, whatever the latents are.
    """
    true, estimated = np.asarray(true, float), np.asarray(estimated, float)
    true = true[:, true.std(axis=0) > 0]
    if not true.shape[1]:
        return math.nan
    true, estimated = true - true.mean(axis=0), estimated - estimated.mean(axis=0)
    residual = true - estimated @ np.linalg.lstsq(estimated, true, rcond=None)[0]
    return float(np.mean(1 - np.square(residual).sum(axis=0) / np.square(true).sum(axis=0)))


def mean_correlation(true: np.ndarray, estimated: np.ndarray) -> float:
    """Return the mean |Pearson r| of latents [n, a] and [n, b] under the best one-to-one matching.

    A constant latent has correlation 0. If a and b differ, min(a, b) pairs are matched.
    """
    strength = np.nan_to_num(np.abs(cross_pearson(true, estimated)))
    return float(strength[linear_sum_assignment(strength, maximize=True)].mean())


def truth_metrics(
    probabilities: np.ndarray,
    dataset: Dataset,
    estimated_effects: Mapping[str, np.ndarray] | None = None,
    *,
    threshold: float = 0.5,
    ranking: np.ndarray | None = None,
) -> dict[str, Any] | None:
    """Compare a learned network and learned latent effects with the truth of a simulation.

    Args:
      probabilities: [T, T], of edges.
      dataset: the data, with its true network and true effects.
      estimated_effects: label -> [T], the mean latent effect D(E * M).
      threshold: an edge is called above this probability.
      ranking: [T, T], by which edges are ranked; by default the probabilities.

    Returns:
      None if the true network is not known. Otherwise auprc, random_auprc, auroc, n_true and
      n_possible (`recovery`); mask, the precision, recall and F1 of called edges of perturbed
      treatments; matched_mask, the same under the best matching of columns; linear_score and
      mean_correlation over labels with a true effect, None if there are fewer than two.
      linear_score is also None if the fit would be exact whatever was learned: if the labels do not
      exceed the rank of the estimated effects by more than one.
    """
    truth = dataset.true_network
    if truth is None:
        return None
    counted = judged_pairs(len(truth), dataset.n_perturbed)
    rows = slice(0, dataset.n_perturbed)
    true, called = ((truth != 0) & counted)[rows], ((probabilities > threshold) & counted)[rows]
    found: dict[str, Any] = {
        "auprc": None,
        "random_auprc": None,
        "auroc": None,
        "n_true": int(true.sum()),
        "n_possible": int(counted.sum()),
        "mask": mask_statistics(true, called),
        "matched_mask": mask_statistics(true, called[:, matched_columns(true, called)]),
        "linear_score": None,
        "mean_correlation": None,
    }
    if 0 < found["n_true"] < found["n_possible"]:
        ranking = probabilities if ranking is None else ranking
        found |= recovery(ranking, truth, dataset.n_perturbed)._asdict()
    true_effects, estimated_effects = dataset.true_effects or {}, estimated_effects or {}
    labels = [label for label in true_effects if label in estimated_effects]
    if len(labels) > 1:
        effects = np.array([true_effects[label] for label in labels], float)
        estimate = np.array([estimated_effects[label] for label in labels], float)
        dimensions = int(np.linalg.matrix_rank(estimate - estimate.mean(axis=0)))
        if len(labels) > dimensions + 1:
            found["linear_score"] = linear_score(effects, estimate)
        found["mean_correlation"] = mean_correlation(effects, estimate)
    return found
