"""Scores of predicted effects against observed ones (docs/method.md 8.2).

Every score takes (observed, predicted, top): two [C, G] arrays of finite effects and a number of
genes. Rows of the metric table refer to these functions; a score that does not look at the
strongest genes ignores `top`.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import false_discovery_control, norm

from gpo_vae_jax.statistics.correlation import pearson, row_pearson

_FDR = 0.05  # at which a gene counts as responding


def pearson_r(observed: np.ndarray, predicted: np.ndarray, top: int) -> float:
    """Return Pearson's r over all (perturbation, gene) pairs; nan where either does not vary."""
    del top
    return pearson(observed, predicted)


def r_squared(observed: np.ndarray, predicted: np.ndarray, top: int) -> float:
    """Return 1 - SS_res / SS_tot over all pairs; nan where the observed effects do not vary."""
    del top
    if observed.size < 2 or np.ptp(observed) == 0:
        return math.nan
    residual, total = observed - predicted, observed - observed.mean()
    return float(1 - np.square(residual).sum() / np.square(total).sum())


def pearson_r_top(observed: np.ndarray, predicted: np.ndarray, top: int) -> float:
    """Return Pearson's r over the `top` genes of largest |observed effect| of each row, pooled."""
    return pearson_r(*_at_strongest(observed, predicted, top), top)


def r_squared_top(observed: np.ndarray, predicted: np.ndarray, top: int) -> float:
    """Return R2 over the `top` genes of largest |observed effect| of each row, pooled."""
    return r_squared(*_at_strongest(observed, predicted, top), top)


def pearson_r_each(observed: np.ndarray, predicted: np.ndarray, top: int) -> float:
    """Return the mean over rows of Pearson's r over their genes; rows without one are left out."""
    del top
    r = row_pearson(predicted, observed)
    return float(np.nanmean(r)) if np.isfinite(r).any() else math.nan


def pearson_r_spread(observed: np.ndarray, predicted: np.ndarray, top: int) -> float:
    """Return the standard deviation over rows of Pearson's r over their genes."""
    del top
    r = row_pearson(predicted, observed)
    r = r[np.isfinite(r)]
    return float(r.std(ddof=1)) if len(r) > 1 else math.nan


def jaccard_top(observed: np.ndarray, predicted: np.ndarray, top: int) -> float:
    """Return the mean over rows of the Jaccard index of both sides' `top` strongest genes."""
    if not len(observed):
        return math.nan
    member = np.zeros((2, *observed.shape), bool)
    for side, effects in zip(member, (observed, predicted), strict=True):
        np.put_along_axis(side, strongest_genes(effects, top), True, axis=1)
    shared, either = (member[0] & member[1]).sum(1), (member[0] | member[1]).sum(1)
    return float((shared / either).mean())


def rank_of_own(observed: np.ndarray, predicted: np.ndarray, top: int) -> float:
    """Return the mean rank of each row's own prediction, from 0 (nearest) to 1; 0.5 is chance.

    The rank of row i is the share of the other rows' predictions that lie nearer to its observed
    effects than its own does (Euclidean distance; ties count half). It is the rank metric of
    PerturBench, except for ties: one prediction for all rows has rank 0.5. nan for a single row.
    """
    del top
    n = len(observed)
    if n < 2:
        return math.nan
    distance = (
        np.square(observed).sum(1)[:, None] + np.square(predicted).sum(1)[None]
        - 2 * observed @ predicted.T
    )  # fmt: skip
    own = np.diagonal(distance)[:, None]
    close = np.isclose(distance, own, rtol=1e-9, atol=1e-12 * max(float(distance.max()), 1.0))
    nearer = np.where(close, 0.5, distance < own).sum(1) - 0.5  # itself
    return float((nearer / (n - 1)).mean())


def overlap_of_responding(
    observed: np.ndarray, error: np.ndarray, predicted: np.ndarray, fdr: float = _FDR
) -> float:
    """Return the mean share of responding genes among as many strongest predicted ones.

    Args:
      observed: [C, G] effects.
      error: [C, G] their standard errors; a gene responds if a z-test says so at this `fdr`, for
        each row (Benjamini-Hochberg).
      predicted: [C, G].
      fdr: false discovery rate.

    Returns:
      The mean over rows with responding genes; nan if no row has any.
    """
    known = np.isfinite(observed) & np.isfinite(error) & (error > 0)
    z = np.abs(np.divide(observed, error, out=np.zeros(observed.shape), where=known))
    shares = []
    for row, effects in zip(2 * norm.sf(z), predicted, strict=True):
        responds = false_discovery_control(row) < fdr
        n = int(responds.sum())
        if n:
            shares.append(responds[strongest_genes(effects[None], n)[0]].mean())
    return float(np.mean(shares)) if shares else math.nan


def strongest_genes(effects: np.ndarray, top: int) -> np.ndarray:
    """Return each row's genes of largest |effect|, [C, min(top, G)], the strongest first.

    Of genes with equal |effect| the first ones count as stronger.
    """
    size = np.abs(effects)
    n_genes = size.shape[1]
    top = min(top, n_genes)
    if not size.size or not top:
        return np.zeros((len(size), top), np.int64)
    least = np.partition(size, n_genes - top, axis=1)[:, n_genes - top, None]
    above, equal = size > least, size == least
    open_places = top - above.sum(axis=1, keepdims=True)
    chosen = above | (equal & (np.cumsum(equal, axis=1) <= open_places))
    genes = np.nonzero(chosen)[1].reshape(len(size), top)
    order = np.argsort(-np.take_along_axis(size, genes, axis=1), axis=1, kind="stable")
    return np.take_along_axis(genes, order, axis=1)


def _at_strongest(
    observed: np.ndarray, predicted: np.ndarray, top: int
) -> tuple[np.ndarray, np.ndarray]:
    genes = strongest_genes(observed, top)
    return (
        np.take_along_axis(observed, genes, axis=1),
        np.take_along_axis(predicted, genes, axis=1),
    )
