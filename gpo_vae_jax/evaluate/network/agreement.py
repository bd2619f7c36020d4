"""Agreement of the learned network with known ones (docs/method.md 8.5)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from gpo_vae_jax.evaluate.knowledge import KnownNetwork, PlacedNetwork, place, union
from gpo_vae_jax.evaluate.knowledge.networks import SIGN_NAMES
from gpo_vae_jax.evaluate.network.recovery import judged_pairs, recovery

_NONE: Mapping[str, str] = {}


def agreement(
    probabilities: np.ndarray,
    known: np.ndarray,
    counted: np.ndarray,
    *,
    threshold: float = 0.5,
) -> dict[str, float]:
    """Compare the called edges, and the ranking of pairs, with a known network.

    Args:
      probabilities: [T, T].
      known: [T, T] bool, the edges of the known network.
      counted: [T, T] bool, the pairs that are judged.
      threshold: an edge is called above this probability.

    Returns:
      The numbers of known, possible, called and shared edges (n_known, n_possible, n_called,
      n_shared); precision, recall and random_precision, the expected precision of random edges;
      p_value, the probability that random edges share at least as many (hypergeometric); auprc,
      random_auprc and auroc of the ranking. Undefined numbers are nan: precision without called
      edges, recall and ranking without known ones.
    """
    called, label = (probabilities > threshold)[counted], known[counted]
    n_possible, n_known, n_called = int(counted.sum()), int(label.sum()), int(called.sum())
    n_shared = int((called & label).sum())
    found = {
        "n_known": n_known,
        "n_possible": n_possible,
        "n_called": n_called,
        "n_shared": n_shared,
        "precision": _share(n_shared, n_called),
        "recall": _share(n_shared, n_known),
        "random_precision": _share(n_known, n_possible),
        "p_value": float(stats.hypergeom.sf(n_shared - 1, n_possible, n_known, n_called))
        if n_possible
        else math.nan,
        "auprc": math.nan,
        "random_auprc": _share(n_known, n_possible),
        "auroc": math.nan,
    }
    if 0 < n_known < n_possible:
        ranked = recovery(probabilities, known, len(known), counted=counted)
        found |= {"auprc": ranked.auprc, "auroc": ranked.auroc}
    return found


def placed_networks(
    networks: Sequence[KnownNetwork],
    treatments: Sequence[str],
    aliases: Mapping[str, str] = _NONE,
) -> list[PlacedNetwork]:
    """Map networks onto the treatments and append their union; no networks give an empty list.

    Raises:
      DataError: a network contains none of the treatments.
    """
    placed = [place(network, treatments, aliases) for network in networks]
    return [*placed, union(placed)] if placed else []


def agreements(
    probabilities: np.ndarray,
    networks: Sequence[PlacedNetwork],
    n_perturbed: int,
    *,
    threshold: float = 0.5,
    measured: np.ndarray | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the agreement with each network, over the perturbed block and, under "all", beyond it.

    The block contains the pairs of two perturbed treatments, "all" the pairs of a perturbed source
    and any measured target. A gene that a network does not mention has no known edge; `covered` is
    the share of treatments (of the block, or all) that it mentions.

    Args:
      probabilities: [T, T].
      networks: known networks over the T treatments.
      n_perturbed: R; the first R treatments are perturbed.
      threshold: an edge is called above this probability.
      measured: [T], whether a treatment's gene is measured; by default all are.
    """
    found: dict[str, dict[str, Any]] = {}
    sets = {
        name: judged_pairs(len(probabilities), n_perturbed, block=block, measured=measured)
        for name, block in (("block", True), ("all", False))
    }
    for network in networks:
        over = {
            name: agreement(probabilities, network.adjacency, counted, threshold=threshold)
            for name, counted in sets.items()
        }
        covered = {
            "block": float(network.covered[:n_perturbed].mean()),
            "all": float(network.covered.mean()),
        }
        found[network.name] = {
            **over["block"],
            "covered": covered["block"],
            "all": {**over["all"], "covered": covered["all"]},
        }
    return found


def agreement_table(found: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the result of `agreements` as rows: network, pairs ("block" or "all"), the numbers."""
    rows = []
    for name, numbers in found.items():
        block = {key: value for key, value in numbers.items() if key != "all"}
        rows += [{"network": name, "pairs": "block", **block}]
        rows += [{"network": name, "pairs": "all", **numbers["all"]}]
    return pd.DataFrame(rows)


def with_known(
    edges: pd.DataFrame, networks: Sequence[PlacedNetwork], treatments: Sequence[str]
) -> pd.DataFrame:
    """Add a column known_NAME to a list of edges for each network: whether it contains the edge.

    Networks with signed edges add a column sign_NAME as well: activation, repression, both,
    unknown, or empty where the edge is not known.
    """
    at = {str(name): i for i, name in enumerate(treatments)}
    row = np.array([at[str(name)] for name in edges["source"]], int)
    column = np.array([at[str(name)] for name in edges["target"]], int)
    columns: dict[str, np.ndarray] = {}
    for network in networks:
        known = network.adjacency[row, column]
        columns[f"known_{network.name}"] = known
        if network.sign.any():
            signs = np.array(SIGN_NAMES, dtype=object)[network.sign[row, column]]
            columns[f"sign_{network.name}"] = np.where(known, signs, "")
    return pd.concat([edges, pd.DataFrame(columns, index=edges.index)], axis=1)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
