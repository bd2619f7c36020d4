"""The learned network as files: the probability matrix, ranked edges, and a graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jax
import networkx as nx
import numpy as np
import pandas as pd

from gpo_vae_jax.evaluate.knowledge import PlacedNetwork
from gpo_vae_jax.evaluate.network.agreement import with_known
from gpo_vae_jax.files import written_beside
from gpo_vae_jax.model import bind
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Params


def edge_probabilities(params: Params, *, spec: Spec) -> np.ndarray:
    """Return the probability of every edge, [T, T]: row regulates column."""
    return np.asarray(jax.device_get(bind(params, spec).guide.mask_probs()))


def ranked_edges(
    probabilities: np.ndarray,
    treatments: Sequence[str],
    n_perturbed: int,
    *,
    threshold: float = 0.5,
    at_least: int = 200,
) -> pd.DataFrame:
    """List edges from the most probable down; edges from a gene to itself are left out.

    Args:
      probabilities: [T, T].
      threshold: all edges above it are listed,
      at_least: and so many of the most probable in any case.

    Returns:
      Columns rank, source, target, probability, above_threshold, source_perturbed,
      target_perturbed.
    """
    off_diagonal = ~np.eye(len(treatments), dtype=bool)
    source, target = np.nonzero(off_diagonal)
    values = probabilities[source, target]
    order = np.argsort(-values, kind="stable")
    order = order[: max(at_least, int((values > threshold).sum()))]
    names = np.asarray(treatments)
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(order) + 1),
            "source": names[source[order]],
            "target": names[target[order]],
            "probability": values[order],
            "above_threshold": values[order] > threshold,
            "source_perturbed": source[order] < n_perturbed,
            "target_perturbed": target[order] < n_perturbed,
        }
    )


def write_network(
    folder: str | Path,
    probabilities: np.ndarray,
    treatments: Sequence[str],
    n_perturbed: int,
    *,
    threshold: float = 0.5,
    at_least: int = 200,
    known: Sequence[PlacedNetwork] = (),
) -> pd.DataFrame:
    """Write grn.csv (matrix), edges.csv (ranked) and edges.graphml; give the ranked edges.

    `known` networks say in further columns, and in the graph's edges, which edges are known.
    """
    names = list(treatments)
    edges = ranked_edges(probabilities, names, n_perturbed, threshold=threshold, at_least=at_least)
    edges = with_known(edges, known, names)
    write_edges(folder, probabilities, edges, names, n_perturbed)
    return edges


def write_edges(
    folder: str | Path,
    probabilities: np.ndarray,
    edges: pd.DataFrame,
    treatments: Sequence[str],
    n_perturbed: int,
) -> None:
    """Write grn.csv, edges.csv and edges.graphml of the probabilities [T, T] and ranked edges."""
    folder, names = Path(folder), list(treatments)
    matrix = pd.DataFrame(probabilities, index=names, columns=names)
    matrix.index.name = "source"
    with written_beside(folder / "grn.csv") as path:
        matrix.to_csv(path, float_format="%.6g")
    with written_beside(folder / "edges.csv") as path:
        edges.to_csv(path, index=False, float_format="%.6g")
    with written_beside(folder / "edges.graphml") as path:
        nx.write_graphml(as_graph(edges, names, n_perturbed), path)


def as_graph(edges: pd.DataFrame, treatments: Sequence[str], n_perturbed: int) -> nx.DiGraph:
    """Return the listed edges as a directed graph over all treatments.

    Edges carry probability, rank, above_threshold, and the columns that `with_known` added.
    """
    graph = nx.DiGraph()
    for i, name in enumerate(treatments):
        graph.add_node(str(name), perturbed=i < n_perturbed)
    known = [name for name in edges if name.startswith("known_")]
    signs = [name for name in edges if name.startswith("sign_")]
    for edge in edges.to_dict("records"):
        graph.add_edge(
            str(edge["source"]),
            str(edge["target"]),
            probability=float(edge["probability"]),
            rank=int(edge["rank"]),
            above_threshold=bool(edge["above_threshold"]),
            **{name: bool(edge[name]) for name in known},
            **{name: str(edge[name]) for name in signs},
        )
    return graph
