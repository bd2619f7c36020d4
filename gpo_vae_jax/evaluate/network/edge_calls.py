"""Edges called at an expected false discovery rate, and how far stated probabilities hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gpo_vae_jax.evaluate.knowledge import PlacedNetwork

_LEAST = 0.5  # posterior of an edge that is called is above it
_ROUNDING = 1e-9  # by which an expected rate may exceed the allowed one
BINS = 10  # of equal width, in which stated probabilities are compared with observed shares


class EdgeCalls(NamedTuple):
    """The edges that are called, and what was expected of them."""

    posterior: np.ndarray  # [T, T] probability of every edge
    called: np.ndarray  # [T, T] bool
    fdr: float  # the expected false discovery rate that was allowed
    stated_fdr: float  # the expected one of the called edges; nan where none is called

    @property
    def n_called(self) -> int:
        """Return the number of called edges."""
        return int(self.called.sum())

    @property
    def stated_precision(self) -> float:
        """Return the expected share of the called edges that are right."""
        return 1 - self.stated_fdr

    @property
    def least(self) -> float:
        """Return the smallest posterior of a called edge; 1 where none is called."""
        return float(self.posterior[self.called].min(initial=1.0))


def call_edges(posterior: np.ndarray, counted: np.ndarray, fdr: float) -> EdgeCalls:
    """Call the most edges whose mean probability of being wrong is at most `fdr`.

    Edges of equal posterior are called together or not at all, and none that is less probable than
    not: where nearly all are sure, the rate would leave room for wrong ones.

    Args:
      posterior: [T, T] probability of every edge.
      counted: [T, T] bool, the pairs that may be called (`recovery.judged_pairs`).
      fdr: expected false discovery rate.
    """
    values = np.sort(posterior[counted])[::-1]
    expected = np.cumsum(1 - values) / np.arange(1, len(values) + 1)
    last_of_ties = np.append(values[1:] < values[:-1], True)[: len(values)]
    possible = np.flatnonzero((expected <= fdr + _ROUNDING) & last_of_ties & (values > _LEAST))
    if not len(possible):
        return EdgeCalls(posterior, np.zeros(posterior.shape, bool), fdr, math.nan)
    last = possible[-1]
    called = counted & (posterior >= values[last])
    return EdgeCalls(posterior, called, fdr, float(expected[last]))


def reliability(stated: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    """Compare stated probabilities with the share of pairs that are edges, in bins.

    Args:
      stated: [N] probabilities of pairs.
      true: [N] bool, whether they are edges.

    Returns:
      expected_calibration_error, the mean over pairs of |mean stated probability - share of edges|
      in the pair's bin; bin_1 to bin_10, where a bin is not empty: n_pairs, stated and observed.
    """
    which = np.clip((np.asarray(stated) * BINS).astype(int), 0, BINS - 1)
    found: dict[str, Any] = {"expected_calibration_error": math.nan}
    error = 0.0
    for i in range(BINS):
        inside = which == i
        if not inside.any():
            continue
        mean, share = float(stated[inside].mean()), float(true[inside].mean())
        error += float(inside.mean()) * abs(mean - share)
        found[f"bin_{i + 1}"] = {
            "n_pairs": int(inside.sum()),
            "stated": mean,
            "observed": share,
        }
    if len(which):
        found["expected_calibration_error"] = error
    return found


def calibration_against(
    calls: EdgeCalls,
    probabilities: np.ndarray,
    truth: np.ndarray | None,
    known: Sequence[PlacedNetwork],
    counted: np.ndarray,
    *,
    calibrated: bool = True,
) -> dict[str, Any]:
    """Return what calls state, and how far it holds against the truth and known networks.

    Args:
      calls: of `call_edges`.
      probabilities: [T, T] of q(M).
      truth: [T, T] true network of simulated data.
      known: known networks; the last is their union.
      counted: [T, T] bool, the pairs that are compared.
      calibrated: whether the posterior is more than the model's own probabilities.

    Returns:
      n_called, stated_precision; stated_by, "posterior" or "probability"; for `truth` and
      `known_networks`, what `against` returns, None where there is no such network.
    """
    networks = {"truth": truth, "known_networks": known[-1].adjacency if known else None}
    return {
        "n_called": calls.n_called,
        "stated_precision": calls.stated_precision,
        "stated_by": "posterior" if calibrated else "probability",
        **{
            name: None if network is None else against(calls, probabilities, network, counted)
            for name, network in networks.items()
        },
    }


def against(
    calls: EdgeCalls, probabilities: np.ndarray, network: np.ndarray, counted: np.ndarray
) -> dict[str, Any]:
    """Compare calls, posterior and probabilities with a true or known network.

    Args:
      calls: of `call_edges`.
      probabilities: [T, T] of q(M).
      network: [T, T], non-zero for an edge.
      counted: [T, T] bool, the pairs that are compared.

    Returns:
      precision and recall of the called edges; for `probability` and `posterior` what `reliability`
      returns.
    """
    true, called = (network != 0)[counted], calls.called[counted]
    shared, n_called, n_true = int((true & called).sum()), int(called.sum()), int(true.sum())
    return {
        "precision": shared / n_called if n_called else math.nan,
        "recall": shared / n_true if n_true else math.nan,
        "probability": reliability(probabilities[counted], true),
        "posterior": reliability(calls.posterior[counted], true),
    }
