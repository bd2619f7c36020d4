"""The learned network: edge probabilities, ranked edges, and its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pandas as pd
from scipy import stats

from gpo_vae_jax.evaluate import file_names
from gpo_vae_jax.evaluate.knowledge import PlacedNetwork
from gpo_vae_jax.evaluate.network.agreement import with_known
from gpo_vae_jax.evaluate.network.edge_calls import EdgeCalls
from gpo_vae_jax.files import written_beside
from gpo_vae_jax.model import bind
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Params


def edge_probabilities(params: Params, *, spec: Spec) -> np.ndarray:
    """Return the probability of every edge, [T, T], row regulates column."""
    return np.asarray(jax.device_get(bind(params, spec).guide.mask_probs()))


def edge_effects(params: Params, *, spec: Spec) -> np.ndarray:
    """Return the mean effect along every edge where it is there, E[E | M = 1], [T, T].

    Its sign says whether the source activates or represses the target.
    """
    guide, n = bind(params, spec).guide, spec.sizes.n_treatments
    mean, _ = guide.embedding_posterior(jnp.ones((1, n, n)), jnp.arange(n))
    return np.asarray(jax.device_get(mean[0]))


def edge_strengths(params: Params, *, spec: Spec) -> np.ndarray:
    """Return what ranks the edges, [T, T].

    With propagated effects it is probability times |mean effect|, the expected size of the direct
    effect. Latent effects have no unit that pairs could be compared in: it is the probability.
    """
    probabilities = edge_probabilities(params, spec=spec)
    if spec.model.effect == "latent":
        return probabilities
    return probabilities * np.abs(edge_effects(params, spec=spec))


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


def with_calls(
    edges: pd.DataFrame, calls: EdgeCalls, treatments: Sequence[str], *, by_posterior: bool = False
) -> pd.DataFrame:
    """Add columns posterior (calibrated probability) and called (at the expected FDR).

    Args:
      edges: of `ranked_edges`.
      calls: of `edge_calls.call_edges`.
      treatments: T names.
      by_posterior: whether the posterior ranks the edges instead of the probability.
    """
    at = {str(name): i for i, name in enumerate(treatments)}
    source = [at[str(name)] for name in edges["source"]]
    target = [at[str(name)] for name in edges["target"]]
    place = list(edges.columns).index("probability") + 1
    edges = edges.copy()
    edges.insert(place, "posterior", calls.posterior[source, target])
    edges.insert(place + 1, "called", calls.called[source, target])
    if by_posterior:
        order = ["called", "posterior", "probability"]
        edges = edges.sort_values(order, ascending=False, kind="stable", ignore_index=True)
        edges["rank"] = np.arange(1, len(edges) + 1)
    return edges


def with_observed(
    edges: pd.DataFrame,
    treatments: Sequence[str],
    effects: np.ndarray,
    change: np.ndarray,
    error: np.ndarray,
) -> pd.DataFrame:
    """Add to ranked edges what the model and the training cells say of each.

    Args:
      edges: of `ranked_edges`.
      treatments: T names.
      effects: [T, T] mean effects of the model.
      change: [T, T] observed log fold changes of targets, nan where there is none.
      error: [T, T] their standard errors.

    Returns:
      The edges with columns effect; sign, "activation" or "repression"; log_fold_change, natural
      logarithm, observed in the source's training cells against controls; p_adjusted, of a
      two-sided z test of it, by Benjamini and Hochberg over all pairs. Empty where nothing is
      observed.
    """
    at = {str(name): i for i, name in enumerate(treatments)}
    source = [at[str(name)] for name in edges["source"]]
    target = [at[str(name)] for name in edges["target"]]
    effect = effects[source, target]
    return edges.assign(
        effect=effect,
        sign=np.where(effect < 0, "repression", "activation"),
        log_fold_change=change[source, target],
        p_adjusted=adjusted_p(change, error)[source, target],
    )


def adjusted_p(change: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return adjusted p-values of a two-sided z test of every pair but self pairs, [T, T]."""
    tested = np.isfinite(change) & (error > 0) & ~np.eye(len(change), dtype=bool)
    found = np.full(change.shape, np.nan)
    if tested.any():
        p = 2 * stats.norm.sf(np.abs(change[tested] / error[tested]))
        found[tested] = stats.false_discovery_control(p)
    return found


def write_network(
    folder: str | Path,
    probabilities: np.ndarray,
    treatments: Sequence[str],
    n_perturbed: int,
    *,
    threshold: float = 0.5,
    at_least: int = 200,
    known: Sequence[PlacedNetwork] = (),
    calls: EdgeCalls | None = None,
) -> pd.DataFrame:
    """Write grn.csv (matrix), edges.csv (ranked) and edges.graphml; return the ranked edges.

    Each network in `known` adds a column, and an attribute of the graph's edges, that tells which
    edges it contains. With `calls`, calibrated probabilities rank the edges.
    """
    names = list(treatments)
    edges = listed_edges(probabilities, names, n_perturbed, threshold, at_least, calls)
    edges = with_known(edges, known, names)
    write_edges(folder, probabilities, edges, names, n_perturbed)
    return edges


def listed_edges(
    probabilities: np.ndarray,
    treatments: Sequence[str],
    n_perturbed: int,
    threshold: float,
    at_least: int,
    calls: EdgeCalls | None,
) -> pd.DataFrame:
    """List edges as `ranked_edges` does; with `calls`, all called ones, by posterior."""
    if calls is None:
        return ranked_edges(
            probabilities, treatments, n_perturbed, threshold=threshold, at_least=at_least
        )
    first = calls.posterior + calls.called
    np.fill_diagonal(first, -1.0)
    number = min(max(at_least, calls.n_called), first.size)
    lowest = probabilities.flat[np.argsort(-first, axis=None, kind="stable")[:number]].min(
        initial=1
    )
    edges = ranked_edges(
        probabilities,
        treatments,
        n_perturbed,
        threshold=threshold,
        at_least=int((probabilities >= lowest).sum()),
    )
    return with_calls(edges, calls, treatments, by_posterior=True).head(number)


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

    Edges have the attributes probability, rank, above_threshold, and the columns of `with_known`
    and `with_calls`.
    """
    graph = nx.DiGraph()
    for i, name in enumerate(treatments):
        graph.add_node(str(name), perturbed=i < n_perturbed)
    columns = [str(name) for name in edges.columns]
    known = [name for name in columns if name.startswith("known_")]
    signs = [name for name in columns if name.startswith("sign_")]
    called = "called" in edges.columns
    for edge in edges.to_dict("records"):
        of_calls = (
            {"posterior": float(edge["posterior"]), "called": bool(edge["called"])}
            if called
            else {}
        )
        graph.add_edge(
            str(edge["source"]),
            str(edge["target"]),
            probability=float(edge["probability"]),
            rank=int(edge["rank"]),
            above_threshold=bool(edge["above_threshold"]),
            **of_calls,
            **{name: bool(edge[name]) for name in known},
            **{name: str(edge[name]) for name in signs},
        )
    return graph
