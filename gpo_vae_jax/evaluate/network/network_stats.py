"""Edges and paths of the network tested on held-out cells (docs/method.md 8.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.evaluate.network.paths import path_lengths
from gpo_vae_jax.statistics.random_by_name import draw_below, hash_names
from gpo_vae_jax.statistics.two_sample import TwoSample

SETS = ("block", "all")
_FEWEST_POINTS = 3  # of a curve; below that, these numbers of edges are added:
_OF_SMALL_NETWORKS = (10, 20, 50, 100, 200)


class _Part(NamedTuple):
    """The subnetwork of the first C of T nodes; the R perturbed ones are its sources."""

    edges: np.ndarray  # [C, C] bool, called edges, the diagonal False
    probabilities: np.ndarray  # [R, C]
    p: np.ndarray  # [R, C] nan where the pair cannot be tested
    wasserstein: np.ndarray  # [R, C]
    possible: np.ndarray  # [R, C] bool: two different genes that can be tested


def network_statistics(
    probabilities: np.ndarray,
    tables: TwoSample,
    treatments: Sequence[str],
    n_perturbed: int,
    settings: EvaluateConfig,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Test the called edges, and the paths they form, on the test cells.

    An edge is called where its probability is above `settings.threshold` and it joins two different
    genes: self edges count nowhere. Set "block" is the network among perturbed treatments; set
    "all" is the whole network with perturbed sources. A pair is a true positive where `tables.p` is
    below `settings.p_value`: the target's expression differs, directly or indirectly.

    Args:
      probabilities: [T, T], row regulates column.
      tables: p-values and Wasserstein distances, [R, T] each (`pair_tests.compare_cells`).
      treatments: T names. They decide which random pairs are drawn, so their order does not matter.
      n_perturbed: R; the first R treatments are perturbed.
      settings: threshold, p_value, path lengths and numbers of edges.

    Returns:
      The "network" entry of the summary, and the curve: a row for each number of most probable
      edges (set, edges, threshold, mean_wasserstein, true_positive_share), with the values of
      random pairs (random_mean_wasserstein, random_true_positive_share).

    Raises:
      DataError: the arrays differ in size.
    """
    probabilities = np.asarray(probabilities)
    n_nodes = len(treatments)
    for name, array, shape in (
        ("probabilities", probabilities, (n_nodes, n_nodes)),
        ("tables.p", tables.p, (n_perturbed, n_nodes)),
        ("tables.wasserstein", tables.wasserstein, (n_perturbed, n_nodes)),
    ):
        if np.shape(array) != shape:
            raise DataError(f"{name} has shape {np.shape(array)}, expected {shape}")
    key = pair_keys(treatments, n_perturbed, settings.seed)
    called = probabilities > settings.threshold
    shares = {f"ge_{bound}": float((probabilities >= bound).mean()) for bound in (0.5, 0.8)}
    shares["le_0.2"] = float((probabilities <= 0.2).mean())
    np.fill_diagonal(called, False)
    found: dict[str, Any] = {
        "n_edges": int(called.sum()),
        "n_edges_perturbed": int(called[:n_perturbed].sum()),
        "n_edges_block": int(called[:n_perturbed, :n_perturbed].sum()),
        "shares": shares,
    }
    curves = []
    for name, n in zip(SETS, (n_perturbed, n_nodes), strict=True):
        part = _part(called, probabilities, tables, n)
        found[name] = _of_part(part, key[:, :n], settings)
        curves.append(_curve(part, settings).assign(set=name))
    found["upstream"] = _as_upstream(called, probabilities, tables, key, settings)
    curve = pd.concat(curves, ignore_index=True)
    return found, curve[["set", *curve.columns.drop("set")]]


def pair_keys(treatments: Sequence[str], n_perturbed: int, seed: int) -> np.ndarray:
    """Return a random number for each pair of names, [R, T], from the seed and both names alone.

    Pairs sorted by these numbers are a random draw that does not depend on the order of the names.
    """
    source = hash_names(treatments[:n_perturbed], seed, "omission source")
    target = hash_names(treatments, seed, "omission target")
    mixed = (source[:, None] ^ target[None, :]).reshape(-1)
    first, second = draw_below(mixed, 2, 2**31).T
    return (first * 2**31 + second).reshape(len(source), len(target))


def _part(called: np.ndarray, probabilities: np.ndarray, tables: TwoSample, n: int) -> _Part:
    n_perturbed = len(tables.p)
    p, distance = tables.p[:, :n], tables.wasserstein[:, :n]
    possible = np.isfinite(p) & ~np.eye(n_perturbed, n, dtype=bool)
    return _Part(called[:n, :n], probabilities[:n_perturbed, :n], p, distance, possible)


def _of_part(part: _Part, key: np.ndarray, settings: EvaluateConfig) -> dict[str, Any]:
    lengths = path_lengths(part.edges, len(part.p))
    rate, n_pairs = _omission_rate(part, part.possible & (lengths < 0), key, settings)
    return {
        "edges": _judge(part, lengths == 1, settings),
        "paths": _paths(part, lengths, settings),
        "false_omission_rate": rate,
        "n_omission_pairs": n_pairs,
    }


def _paths(part: _Part, lengths: np.ndarray, settings: EvaluateConfig) -> list[dict[str, Any]]:
    """Test the pairs whose shortest path has 2, 3, ... edges."""
    return [
        {"length": length, **_judge(part, lengths == length, settings)}
        for length in range(2, settings.max_path_length + 1)
    ]


def _judge(part: _Part, pairs: np.ndarray, settings: EvaluateConfig) -> dict[str, Any]:
    """Count the pairs, the testable ones and those whose target differs; average their distance."""
    tested = pairs & part.possible
    n_tested = int(tested.sum())
    true = int((part.p[tested] < settings.p_value).sum())
    return {
        "n": int(pairs.sum()),
        "n_evaluable": n_tested,
        "true_positives": true,
        "false_positives": n_tested - true,
        "true_positive_share": true / n_tested if n_tested else math.nan,
        "mean_wasserstein": float(part.wasserstein[tested].mean()) if n_tested else math.nan,
    }


def _omission_rate(
    part: _Part, omitted: np.ndarray, key: np.ndarray, settings: EvaluateConfig
) -> tuple[float | None, int]:
    """Return the share of randomly drawn omitted pairs whose target differs, and their number."""
    drawn = _draw(omitted, key, settings.omission_pairs)
    if not len(drawn):
        return None, 0
    return float((part.p.reshape(-1)[drawn] < settings.p_value).mean()), len(drawn)


def _draw(pairs: np.ndarray, key: np.ndarray, n: int) -> np.ndarray:
    """Draw at most n pairs without replacement; return their positions in the flattened table."""
    flat = np.flatnonzero(pairs)
    return flat[np.argsort(key.reshape(-1)[flat], kind="stable")[:n]]


def _as_upstream(
    called: np.ndarray,
    probabilities: np.ndarray,
    tables: TwoSample,
    key: np.ndarray,
    settings: EvaluateConfig,
) -> dict[str, Any]:
    """Return the figures as the original computes them, for comparison with published ones.

    Its omission rate is taken over random pairs of the block, predicted edges included, because the
    original compares names with row numbers; pairs that cannot be tested count as not differing.
    Its paths run through the block and one further node.
    """
    n = len(tables.p)
    part = _part(called, probabilities, tables, min(n + 1, len(called)))
    block = _part(called, probabilities, tables, n)
    rate, n_pairs = _omission_rate(block, ~np.eye(n, dtype=bool), key[:, :n], settings)
    lengths = path_lengths(part.edges, n, settings.max_path_length)
    return {
        "false_omission_rate": rate,
        "n_omission_pairs": n_pairs,
        "paths": _paths(part, lengths, settings),
    }


def _curve(part: _Part, settings: EvaluateConfig) -> pd.DataFrame:
    """Test the n most probable testable pairs for several n, the number of called ones included."""
    flat = np.flatnonzero(part.possible)
    probability = part.probabilities.reshape(-1)[flat]
    n_called = int((probability > settings.threshold).sum())
    numbers = {*settings.matched_edges, n_called} - {0}
    if sum(n <= len(flat) for n in numbers) < _FEWEST_POINTS:
        numbers |= {*_OF_SMALL_NETWORKS}
    at = np.array([n for n in sorted(numbers) if n <= len(flat)], np.int64)
    order = _most_probable(probability, int(at.max(initial=0)))
    shows = part.p.reshape(-1)[flat] < settings.p_value
    distance = part.wasserstein.reshape(-1)[flat]
    every = len(flat) > 0
    return pd.DataFrame(
        {
            "edges": at,
            "threshold": probability[order][at - 1],
            "mean_wasserstein": np.cumsum(distance[order])[at - 1] / at,
            "true_positive_share": np.cumsum(shows[order])[at - 1] / at,
            "random_mean_wasserstein": distance.mean() if every else math.nan,
            "random_true_positive_share": shows.mean() if every else math.nan,
        }
    )


def _most_probable(probability: np.ndarray, n: int) -> np.ndarray:
    """Return the positions of the n most probable in descending order; ties keep their order."""
    if not n:
        return np.zeros(0, np.int64)
    least = np.partition(probability, len(probability) - n)[len(probability) - n]
    above = np.flatnonzero(probability > least)
    equal = np.flatnonzero(probability == least)[: n - len(above)]
    chosen = np.sort(np.concatenate([above, equal]))
    return chosen[np.argsort(-probability[chosen], kind="stable")]
