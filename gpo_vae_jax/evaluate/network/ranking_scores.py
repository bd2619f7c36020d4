"""The learned network beside rankings that need no model, at matched numbers of edges (8.4)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.knowledge import PlacedNetwork
from gpo_vae_jax.evaluate.network.recovery import judged_pairs, recovery
from gpo_vae_jax.statistics.two_sample import TwoSample

_FEWEST = 10  # edges that rankings are compared at where the model calls fewer


def ranking_scores(
    rankings: Mapping[str, np.ndarray],
    tables: TwoSample,
    n_called: int,
    settings: EvaluateConfig,
    *,
    truth: np.ndarray | None = None,
    known: Sequence[PlacedNetwork] = (),
    measured: np.ndarray | None = None,
) -> dict[str, dict[str, Any]]:
    """Score every ranking of pairs on test cells, and against the truth and known networks.

    Args:
      rankings: by name, [T, T] scores; larger ranks higher.
      tables: p-values and Wasserstein distances of test cells, [R, T] each.
      n_called: number of the highest ranked testable pairs that are compared; at least 10 are.
      settings: of the evaluation; a pair's target differs where its p is below `p_value`.
      truth: [T, T] true network of simulated data.
      known: known networks; the last is their union.
      measured: [T], whether a treatment's gene is measured.

    Returns:
      For each ranking n_edges, true_positives, true_positive_share and mean_wasserstein of the
      highest ranked pairs; omitted_share, the share of the other testable pairs whose target
      differs; truth_auprc and known_auprc, None where there is nothing to compare with.
    """
    n_perturbed, n = tables.p.shape
    possible = np.isfinite(tables.p) & ~np.eye(n_perturbed, n, dtype=bool)
    flat = np.flatnonzero(possible)
    differs = tables.p.reshape(-1)[flat] < settings.p_value
    distance = tables.wasserstein.reshape(-1)[flat]
    number = min(max(n_called, _FEWEST), len(flat))
    counted = judged_pairs(n, n_perturbed, measured=measured)
    found = {}
    for name, score in rankings.items():
        order = np.argsort(-score[:n_perturbed].reshape(-1)[flat], kind="stable")
        top, rest = order[:number], order[number:]
        found[name] = {
            "n_edges": number,
            "true_positives": int(differs[top].sum()),
            "true_positive_share": _mean(differs[top]),
            "mean_wasserstein": _mean(distance[top]),
            "omitted_share": _mean(differs[rest]),
            "truth_auprc": _auprc(score, truth, n_perturbed, None),
            "known_auprc": _auprc(score, known[-1].adjacency, n_perturbed, counted)
            if known
            else None,
        }
    return found


def explained_shares(probabilities: np.ndarray, n_perturbed: int) -> dict[str, float]:
    """Return which share of the edge probabilities' variance one end of an edge alone explains.

    Pairs of a perturbed source and another gene count. Where `target` is near 1, every regulator
    points at the same genes, and the network says little about who regulates whom.

    Returns:
      `target` and `source`, each the share of variance between the means of its groups; nan where
      the probabilities do not vary.
    """
    counted = judged_pairs(len(probabilities), n_perturbed)
    values = probabilities[counted]
    total = float(np.square(values - values.mean()).sum()) if values.size else 0.0
    shares = {}
    for axis, name in ((0, "target"), (1, "source")):
        group = np.broadcast_to(np.arange(len(probabilities)), probabilities.shape)
        group = (group if axis == 0 else group.T)[counted]
        n = np.bincount(group)
        mean = np.bincount(group, values) / np.maximum(n, 1)
        between = float((n * np.square(mean - values.mean()) * (n > 0)).sum()) if total else 0.0
        shares[name] = between / total if total else math.nan
    return shares


def _auprc(
    score: np.ndarray, network: np.ndarray | None, n_perturbed: int, counted: np.ndarray | None
) -> float | None:
    if network is None:
        return None
    counted = judged_pairs(len(network), n_perturbed) if counted is None else counted
    label = network[counted] != 0
    if not 0 < label.sum() < len(label):
        return None
    return recovery(score, network, n_perturbed, counted=counted).auprc


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
