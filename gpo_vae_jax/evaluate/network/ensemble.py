"""The network of several members: mean probabilities, and how stable each edge is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.evaluate import file_names
from gpo_vae_jax.evaluate.network.edges import edge_probabilities, ranked_edges
from gpo_vae_jax.files import written_beside
from gpo_vae_jax.model.trained import Trained


@dataclasses.dataclass(frozen=True)
class EnsembleNetwork:
    """Edge probabilities over S members, each [T, T], row regulates column."""

    mean: np.ndarray
    deviation: np.ndarray  # sample standard deviation; 0 for one member
    stability: np.ndarray  # share of members that call the edge
    threshold: float  # a member calls an edge above this probability
    n_members: int  # S


def ensemble_network(trained: Trained, threshold: float = 0.5) -> EnsembleNetwork:
    """Return the network over all members of a training.

    Raises:
      ConfigError: the threshold is no probability.
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f"threshold={threshold} must be between 0 and 1")
    probabilities = np.stack([edge_probabilities(one.params, spec=one.spec) for one in trained])
    several = len(probabilities) > 1
    return EnsembleNetwork(
        mean=probabilities.mean(0),
        deviation=probabilities.std(0, ddof=1) if several else np.zeros_like(probabilities[0]),
        stability=(probabilities > threshold).mean(0),
        threshold=threshold,
        n_members=len(probabilities),
    )


def ensemble_edges(
    network: EnsembleNetwork,
    treatments: tuple[str, ...],
    n_perturbed: int,
    *,
    at_least: int = 200,
) -> pd.DataFrame:
    """List edges by their mean probability over members.

    Every edge that any member calls is listed, and the `at_least` most probable pairs in any case.

    Returns:
      The columns of `ranked_edges`, of mean probabilities, with `probability_sd` between members,
      `n_called`, the number that calls the edge, `stability`, their share, and `in_all`.
    """
    called = (network.stability > 0) & ~np.eye(len(treatments), dtype=bool)
    lowest = network.mean[called].min(initial=1.0)
    number = max(at_least, int((network.mean >= lowest).sum()))
    edges = ranked_edges(
        network.mean, treatments, n_perturbed, threshold=network.threshold, at_least=number
    )
    at = {name: i for i, name in enumerate(treatments)}
    source = [at[name] for name in edges["source"]]
    target = [at[name] for name in edges["target"]]
    edges = edges.assign(**agreement_of(network, source, target))
    return edges[(edges["n_called"] > 0) | (edges["rank"] <= at_least)].reset_index(drop=True)


def agreement_of(
    network: EnsembleNetwork, source: Sequence[int], target: Sequence[int]
) -> dict[str, np.ndarray]:
    """Return how members agree on some edges, by column: probability_sd, n_called, stability..."""
    stability = network.stability[source, target]
    return {
        "probability_sd": network.deviation[source, target],
        "n_called": np.rint(stability * network.n_members).astype(int),
        "stability": stability,
        "in_all": stability == 1,
    }


def write_ensemble(
    folder: str | Path, network: EnsembleNetwork, treatments: tuple[str, ...], n_perturbed: int
) -> pd.DataFrame:
    """Write ensemble_grn.csv, the mean probabilities, and ensemble_edges.csv; return the edges."""
    names = list(treatments)
    edges = ensemble_edges(network, treatments, n_perturbed)
    matrix = pd.DataFrame(network.mean, index=pd.Index(names, name="source"), columns=names)
    with written_beside(Path(folder) / file_names.ENSEMBLE_PROBABILITIES) as path:
        matrix.to_csv(path, float_format="%.6g")
    with written_beside(Path(folder) / file_names.ENSEMBLE_EDGES) as path:
        edges.to_csv(path, index=False, float_format="%.6g")
    return edges
