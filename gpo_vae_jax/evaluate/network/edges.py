"""The learned network: edge probabilities, ranked edges, and its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jax
import networkx as nx
import numpy as np
import pandas as pd

from gpo_vae_jax.evaluate import file_names
from gpo_vae_jax.evaluate.knowledge import PlacedNetwork
from gpo_vae_jax.evaluate.network.agreement import with_known
from gpo_vae_jax.files import written_beside
from gpo_vae_jax.model import bind
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Params


def edge_probabilities(params: Params, *, spec: Spec) -> np.ndarray:
    """Return the probability of every edge, [T, T], row regulates column."""
    return np.asarray(jax.device_get(bind(params, spec).guide.mask_probs()))


def ranked_edges(
    probabilities: np.ndarray,
    treatments: Sequence[str],
    n_perturbed: int,
    *,
    threshold: float = 0.5,
    at_least: int = 200,
) -> pd.DataFrame:
    """List edges by descending probability; self edges are left out.

    Args:
      probabilities: [T, T].
      treatments: T names.
      n_perturbed: R; the first R treatments are perturbed.
      threshold: an edge is called above this probability; all called edges are listed.
      at_least: the number of most probable pairs that are listed in any case.

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
    """Write grn.csv (matrix), edges.csv (ranked) and edges.graphml; return the ranked edges.

    Each network in `known` adds a column, and an attribute of the graph's edges, that tells which
    edges it contains.
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
    """Write probabilities, [T, T], to grn.csv and ranked edges to edges.csv and edges.graphml."""
    folder, names = Path(folder), list(treatments)
    matrix = pd.DataFrame(probabilities, index=names, columns=names)
    matrix.index.name = "source"
    with written_beside(folder / file_names.PROBABILITIES) as path:
        matrix.to_csv(path, float_format="%.6g")
    with written_beside(folder / file_names.EDGES) as path:
        edges.to_csv(path, index=False, float_format="%.6g")
    with written_beside(folder / file_names.GRAPH) as path:
        nx.write_graphml(as_graph(edges, names, n_perturbed), path)


def as_graph(edges: pd.DataFrame, treatments: Sequence[str], n_perturbed: int) -> nx.DiGraph:
    """Return ranked edges as a directed graph over all treatments.

    Edges have the attributes probability, rank, above_threshold, and the columns of `with_known`.
    """
    graph = nx.DiGraph()
    for i, name in enumerate(treatments):
        graph.add_node(str(name), perturbed=i < n_perturbed)
    columns = [str(name) for name in edges.columns]
    known = [name for name in columns if name.startswith("known_")]
    signs = [name for name in columns if name.startswith("sign_")]
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
