"""The network, drawn around its hubs."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from gpo_vae_jax.evaluate.report.drawing import Panel, Plot
from gpo_vae_jax.evaluate.report.look import CARD, INK, LINE, MODEL, MUTED
from gpo_vae_jax.evaluate.report.wording import name

_LONGEST = 16  # letters of a name
_WIDTH = 1000.0
_LINE = 24.0  # height of a node
_MARGIN = 16.0  # around all nodes


def hub_edges(edges: pd.DataFrame, *, n_hubs: int = 8, n_edges: int = 60) -> pd.DataFrame:
    """Return the most probable edges of the regulators with most edges.

    Edges above the threshold are taken where there are any, the most probable pairs otherwise.
    Every hub gets its share of the `n_edges`.
    """
    if len(edges) == 0:
        return edges
    called = edges[edges["above_threshold"].astype(bool)]
    pool = (called if len(called) else edges.head(n_edges // 2)).sort_values("rank", kind="stable")
    targets = pool.groupby("source", sort=True).agg(n=("target", "size"), best=("rank", "min"))
    hubs = targets.sort_values(["n", "best"], ascending=[False, True]).index[:n_hubs]
    pool = pool[pool["source"].isin(hubs)]
    own = pool.groupby("source", sort=False).head(max(1, n_edges // max(1, len(hubs))))
    rest = pool.drop(own.index).head(max(0, n_edges - len(own)))
    return pd.concat([own, rest]).sort_values("rank", kind="stable")


def network_plot(edges: pd.DataFrame, caption: object, seed: int = 0) -> Plot | None:
    """Draw genes as labels and edges as arrows: perturbed genes filled, extended genes hollow."""
    chosen = hub_edges(edges)
    if len(chosen) == 0:
        return None
    perturbed = {
        str(gene): bool(flag)
        for end in ("source", "target")
        for gene, flag in zip(chosen[end], chosen[f"{end}_perturbed"], strict=True)
    }
    genes = list(perturbed)
    labels = [name(gene, _LONGEST) for gene in genes]
    index = {gene: i for i, gene in enumerate(genes)}
    pairs = [
        (index[str(source)], index[str(target)])
        for source, target in zip(chosen["source"], chosen["target"], strict=True)
    ]
    boxes = np.array([[7.3 * len(label) + 20, _LINE] for label in labels])
    height = float(np.clip(240 + 9.0 * len(genes), 300, 780))
    places = layout(pairs, boxes, (_WIDTH, height), seed)
    places -= (places - boxes / 2).min(axis=0) - _MARGIN  # no empty border
    width, height = map(float, np.ceil((places + boxes / 2).max(axis=0) + _MARGIN))
    degree = np.bincount([source for source, _ in pairs], minlength=len(genes))
    called = chosen["above_threshold"].to_numpy(bool)
    weight = chosen["probability"].to_numpy(float)

    def draw(axes: Axes) -> None:
        low, span = weight.min(), max(float(weight.max() - weight.min()), 1e-9)
        both = set(pairs)
        for (source, target), value, above in zip(pairs, weight, called, strict=True):
            bend = 0.16 if (target, source) in both else 0.06
            start, end = _between(places[source], places[target], boxes[source], boxes[target])
            axes.add_patch(
                FancyArrowPatch(
                    tuple(start),
                    tuple(end),
                    arrowstyle="-|>",
                    connectionstyle=f"arc3,rad={bend}",
                    mutation_scale=9,
                    shrinkA=0,
                    shrinkB=1,
                    linewidth=1.0 + 0.9 * (value - low) / span,
                    linestyle="-" if above else (0, (3, 2)),
                    color=MODEL,
                    alpha=0.45 + 0.45 * (value - low) / span,
                    zorder=1,
                )
            )
        for i, gene in enumerate(genes):
            _node(axes, places[i], boxes[i], labels[i], perturbed[gene], degree[i] > 1)

    hubs = chosen["source"].value_counts(sort=False)
    told = ", ".join(f"{name(gene, 30)} ({n})" for gene, n in hubs.items())
    alt = f"Network of {len(chosen)} edges between {len(genes)} genes; regulators: {told}"
    return Plot("network", (Panel(draw, alt, width, height, bare=True),), caption)


def layout(
    pairs: list[tuple[int, int]], boxes: np.ndarray, size: tuple[float, float], seed: int
) -> np.ndarray:
    """Return places of nodes [n, 2] in pixels: connected nodes close, without overlap.

    Regulators and the targets they share are laid out by springs. Every other target lies on a
    ring around its only regulator.

    Args:
      pairs: of a regulator and a target.
      boxes: width and height of each node, [n, 2].
      size: width and height of the drawing.
      seed: of the spring layout.
    """
    n = len(boxes)
    degree = np.bincount(np.asarray(pairs).ravel(), minlength=n)
    hubs = list(dict.fromkeys(source for source, _ in pairs))
    leaves = {hub: [b for a, b in pairs if a == hub and degree[b] == 1] for hub in hubs}
    apart = {leaf for group in leaves.values() for leaf in group}
    core = [i for i in range(n) if i not in apart]
    room = np.asarray(size) - boxes[core] - 16
    places = np.zeros((n, 2))
    places[core] = _springs(core, hubs, pairs, seed) * room + boxes[core] / 2 + 8
    for hub, group in leaves.items():
        outward = places[hub] - np.asarray(size) / 2
        turn = np.arctan2(outward[1], outward[0])
        angles = turn + 2 * np.pi * (np.arange(len(group)) + 0.5) / max(1, len(group))
        ring = np.stack([np.cos(angles) * 118, np.sin(angles) * 74], axis=1)
        places[group] = places[hub] + ring
    return _apart(places, boxes + np.array([14.0, 12.0]), np.asarray(size))


def _springs(core: list[int], hubs: list[int], pairs, seed: int) -> np.ndarray:
    """Return places of regulators and shared targets in the unit square, [len(core), 2]."""
    inside, n = set(core), len(core)
    graph = nx.Graph()
    graph.add_nodes_from(core)
    for i, first in enumerate(hubs):  # weak springs keep unconnected parts close
        graph.add_edges_from(((first, other) for other in hubs[i + 1 :]), weight=0.12)
    graph.add_edges_from((pair for pair in pairs if inside.issuperset(pair)), weight=1.0)
    angles = 2 * np.pi * np.arange(n) / n
    start = dict(zip(core, np.stack([np.cos(angles), np.sin(angles)], axis=1), strict=True))
    found = nx.spring_layout(graph, pos=start, k=2.2 / np.sqrt(n), iterations=300, seed=seed)
    places = np.array([found[i] for i in core])
    if n == 1:
        return np.full((1, 2), 0.5)
    places = (places - places.min(0)) / np.maximum(np.ptp(places, axis=0), 1e-9)
    order = places.argsort(axis=0).argsort(axis=0) / (n - 1)  # spreads the dense middle
    return 0.1 + 0.8 * (0.5 * places + 0.5 * order)


def _apart(places: np.ndarray, boxes: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Push overlapping boxes apart along the axis of smaller overlap until none overlap."""
    places = places.copy()
    first, second = np.triu_indices(len(places), 1)
    for _ in range(600):
        gap = places[second] - places[first]
        overlap = (boxes[first] + boxes[second]) / 2 - np.abs(gap)
        hit = (overlap > 0.1).all(axis=1)
        if not hit.any():
            break
        axis = overlap[hit].argmin(axis=1)
        amount = overlap[hit][np.arange(len(axis)), axis] / 2 + 0.2
        direction = np.where(gap[hit][np.arange(len(axis)), axis] >= 0, 1.0, -1.0)
        push = np.zeros_like(places)
        np.add.at(push, (second[hit], axis), amount * direction)
        np.add.at(push, (first[hit], axis), -amount * direction)
        places = np.clip(places + 0.5 * push, boxes / 2, size - boxes / 2)
    return places


def _between(start, end, box, target_box) -> tuple[np.ndarray, np.ndarray]:
    """Return where the straight line between two boxes leaves the first and enters the second."""
    way = end - start

    def border(half):
        with np.errstate(divide="ignore"):
            return min(float(np.min(half / np.maximum(np.abs(way), 1e-9))), 0.5)

    return start + way * border(box / 2), end - way * border(target_box / 2 + 2)


def _node(axes, place, box, label: str, perturbed: bool, hub: bool) -> None:
    width, height = box
    axes.add_patch(
        FancyBboxPatch(
            place - box / 2,
            width,
            height,
            boxstyle=f"round,pad=0,rounding_size={height / 2 if perturbed else 4}",
            facecolor=LINE if perturbed else CARD,
            edgecolor=INK if hub else MUTED,
            linewidth=1.8 if hub else 1.0,
            linestyle="-" if perturbed else (0, (3, 2)),
            zorder=2,
        )
    )
    axes.text(
        *place,
        label,
        ha="center",
        va="center_baseline",
        fontsize=11.5,
        fontweight="bold" if hub else "normal",
        color=INK,
        zorder=3,
    )
