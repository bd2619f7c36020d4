"""Single genes of the learned network: regulators and what lies downstream of a gene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gpo_vae_jax.data.gene_names import meant_gene
from gpo_vae_jax.errors import ConfigError


def regulators(
    probabilities: np.ndarray,
    treatments: Sequence[str],
    n_perturbed: int,
    *,
    threshold: float = 0.5,
) -> pd.DataFrame:
    """Rank treatments as regulators: perturbed ones first, then by the number of called targets.

    Ties are broken by the expected number of targets. A gene is never its own target.

    Args:
      probabilities: [T, T].
      treatments: T names.
      n_perturbed: R; the first R treatments are perturbed.
      threshold: an edge is called above this probability.

    Returns:
      T rows: rank, gene, perturbed; n_targets, the number of called targets, and expected_targets,
      the sum of probabilities; n_regulators and expected_regulators, the same for edges from
      perturbed treatments to the gene; strongest_target and strongest_probability.
    """
    values = np.asarray(probabilities, float).copy()
    np.fill_diagonal(values, 0.0)
    names = np.asarray([str(name) for name in treatments], dtype=object)
    called = values > threshold
    strongest = values.argmax(axis=1)
    table = pd.DataFrame(
        {
            "gene": names,
            "perturbed": np.arange(len(names)) < n_perturbed,
            "n_targets": called.sum(axis=1),
            "expected_targets": values.sum(axis=1),
            "n_regulators": called[:n_perturbed].sum(axis=0),
            "expected_regulators": values[:n_perturbed].sum(axis=0),
            "strongest_target": names[strongest],
            "strongest_probability": values[np.arange(len(names)), strongest],
        }
    )
    order = ["perturbed", "n_targets", "expected_targets"]
    table = table.sort_values(order, ascending=False, kind="stable").reset_index(drop=True)
    table.insert(0, "rank", list(range(1, len(table) + 1)))
    return table


def neighbourhood(
    probabilities: np.ndarray,
    treatments: Sequence[str],
    gene: str,
    *,
    depth: int = 2,
    threshold: float = 0.5,
) -> pd.DataFrame:
    """List what lies downstream of a gene within `depth` called edges, nearest first.

    The probability of a path is the product over its edges, which are independent: a lower bound of
    the probability that any path exists (docs/method.md 8.6).

    Args:
      probabilities: [T, T].
      treatments: T names.
      gene: the treatment to start from.
      depth: the largest number of edges of a path.
      threshold: an edge is called above this probability.

    Returns:
      gene; distance, the number of edges of a shortest path; probability, n_edges and path of the
      most probable path (its genes joined by " > "); direct, the probability of the edge from the
      starting gene itself.

    Raises:
      ConfigError: the gene is not a treatment, or depth is below 1.
    """
    names = [str(name) for name in treatments]
    if gene not in names:
        raise ConfigError(
            f"gene {gene!r} is not one of the {len(names)} treatments; {meant_gene(gene, names)}"
        )
    if depth < 1:
        raise ConfigError(f"depth={depth} must be at least 1")
    start = names.index(gene)
    values = np.asarray(probabilities, float)
    edges = np.where(values > threshold, values, 0.0)
    np.fill_diagonal(edges, 0.0)
    best, paths, distance = _most_probable(edges, start, depth)
    rows = [
        {
            "gene": names[i],
            "distance": int(distance[i]),
            "probability": best[i],
            "n_edges": len(paths[i]) - 1,
            "path": " > ".join(names[j] for j in paths[i]),
            "direct": values[start, i],
        }
        for i in range(len(names))
        if i in paths and i != start
    ]
    columns = ["gene", "distance", "probability", "n_edges", "path", "direct"]
    table = pd.DataFrame(rows, columns=columns)
    order = {"distance": True, "probability": False, "gene": True}
    return table.sort_values(list(order), ascending=list(order.values())).reset_index(drop=True)


def _most_probable(
    edges: np.ndarray, start: int, depth: int
) -> tuple[np.ndarray, dict[int, tuple[int, ...]], np.ndarray]:
    """Return the most probable paths of at most `depth` edges from one node to every other.

    Returns:
      The probability of each path, [T]; the paths by their end; the number of edges of a shortest
      path, [T], -1 where there is none.
    """
    best: np.ndarray = np.zeros(len(edges))
    best[start] = 1.0
    paths: dict[int, tuple[int, ...]] = {start: (start,)}
    distance: np.ndarray = np.full(len(edges), -1)
    distance[start] = 0
    for step in range(1, depth + 1):
        longer = best[:, None] * edges
        before = longer.argmax(axis=0)
        value = longer[before, np.arange(len(edges))]
        # Visiting a gene twice never makes a path more probable.
        better = np.flatnonzero(value > best)
        paths = paths | {int(i): (*paths[int(before[i])], int(i)) for i in better}
        distance[(distance < 0) & (value > 0)] = step
        best = np.maximum(best, value)
    return best, paths, distance
