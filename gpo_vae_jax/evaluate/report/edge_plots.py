"""Plots of edge probabilities and of the confirmation of edges."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from gpo_vae_jax.evaluate.report.drawing import Panel, Plot
from gpo_vae_jax.evaluate.report.look import (
    ALL_BY_CHANCE,
    ALL_PAIRS,
    BLOCK_BY_CHANCE,
    BLOCK_PAIRS,
    COLOURS,
    MUTED,
    Mark,
)
from gpo_vae_jax.evaluate.report.wording import count, number

_SETS = {"all": (ALL_PAIRS, ALL_BY_CHANCE), "block": (BLOCK_PAIRS, BLOCK_BY_CHANCE)}
_BINS = 50

Line = tuple[np.ndarray, np.ndarray, Mark]  # numbers of edges, values, and how they are drawn


def probabilities_plot(
    probabilities: np.ndarray, n_perturbed: int, threshold: float, caption: object
) -> Plot | None:
    """Draw how many pairs have which probability, on a logarithmic axis."""
    edges = np.linspace(0, 1, _BINS + 1)
    drawn = []
    for values, mark in (
        (_pairs(probabilities[:n_perturbed]), ALL_PAIRS),
        (_pairs(probabilities[:n_perturbed, :n_perturbed]), BLOCK_PAIRS),
    ):
        if values.size:
            drawn.append((np.histogram(values, edges)[0], mark))
    if not drawn:
        return None
    above = int((_pairs(probabilities[:n_perturbed]) > threshold).sum())

    def draw(axes: Axes) -> None:
        axes.set_title("Pairs by edge probability")
        axes.axvline(threshold, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        for counts, mark in drawn:
            shown = np.where(counts > 0, counts, 0.5)
            dashes = (0, (3, 2)) if mark.line == "--" else "-"
            fill = mark is ALL_PAIRS
            colour = COLOURS[mark.colour]
            if fill:
                axes.stairs(shown, edges, baseline=0.5, fill=True, color=colour, alpha=0.14)
            axes.stairs(shown, edges, baseline=None, color=colour, linewidth=1.4, linestyle=dashes)
        top = max(counts.max() for counts, _ in drawn)
        axes.set_yscale("log")
        axes.set(xlim=(0, 1), ylim=(0.5, 3 * max(top, 1)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(lambda value, _: count(value) if value >= 1 else "")
        axes.set_xlabel(f"probability (edges: above {threshold:g})")

    marks = tuple(mark._replace(marker="") for _, mark in drawn)
    told = (
        f"Histogram of the probabilities of {count(drawn[0][0].sum())} pairs; {count(above)} lie "
        f"above {threshold:g}"
    )
    return Plot("probabilities", (Panel(draw, told, 360, 250),), caption, marks, 1)


def matched_edges_plot(curve: pd.DataFrame, caption: object) -> Plot | None:
    """Draw the mean Wasserstein distance and the share of confirmed edges by number of edges.

    Args:
      caption: below the figure.
      curve: columns edges, mean_wasserstein, true_positive_share; optional set ("all", "block")
        and random_mean_wasserstein, random_true_positive_share.
    """
    panels: list[Panel] = []
    used: list[Mark] = []
    for column, title in (
        ("mean_wasserstein", "Mean Wasserstein distance"),
        ("true_positive_share", "Share of confirmed edges"),
    ):
        lines = _lines(curve, column)
        used += [mark for _, _, mark in lines if mark not in used]
        if lines:
            draw = partial(_matched, title=title, lines=lines)
            told = "; ".join(
                f"{mark.label}: {number(values[0])} for {count(edges[0])} edges, "
                f"{number(values[-1])} for {count(edges[-1])}"
                for edges, values, mark in lines
            )
            panels.append(Panel(draw, f"{title} by number of edges. {told}", 252, 220))
    return Plot("matched_edges", tuple(panels), caption, tuple(used), 2) if panels else None


def _lines(curve: pd.DataFrame, column: str) -> list[Line]:
    """Return the curves of a column, observed and by chance, for each set of pairs."""
    lines: list[Line] = []
    for which, marks in _SETS.items():
        rows = curve
        if "set" in curve.columns:
            rows = curve[curve["set"] == which]
        elif which == "block":
            continue
        for name, mark in zip((column, f"random_{column}"), marks, strict=True):
            if name not in rows.columns or "edges" not in rows.columns or not len(rows):
                continue
            both = rows[["edges", name]].apply(pd.to_numeric, errors="coerce")
            edges, values = np.array(both.sort_values("edges"), np.float64).T
            known = np.isfinite(edges) & np.isfinite(values)
            if known.any():
                lines.append((edges[known], values[known], mark))
    return lines


def _matched(axes: Axes, title: str, lines: list[Line]) -> None:
    axes.set_title(title)
    for edges, values, mark in lines:
        style = mark.style(6)
        if not mark.marker and len(edges) == 1:
            style["marker"] = "|"
        axes.plot(edges, values, clip_on=False, zorder=3, **style)
    top = max(values.max() for _, values, _ in lines)
    axes.set_ylim(0, 1.12 * top or 1.0)
    most = max(edges.max() for edges, _, _ in lines)
    axes.set_xlim(0, 1.04 * most)
    axes.locator_params(nbins=6)
    axes.xaxis.set_major_formatter(lambda value, _: count(value))
    axes.set_xlabel("number of edges, most probable first")


def _pairs(matrix: np.ndarray) -> np.ndarray:
    """Return the finite entries off the diagonal."""
    other = ~np.eye(*matrix.shape, dtype=bool)
    values = np.asarray(matrix)[other]
    return values[np.isfinite(values)]
