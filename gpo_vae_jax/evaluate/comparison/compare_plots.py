"""The figures of a comparison of runs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gpo_vae_jax.evaluate.comparison.compare import MAIN


def jaccard_figure(edges: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Draw the Jaccard index of the called edges of every two runs."""
    n = len(names)
    matrix = np.eye(n)
    for row in edges[edges["edges"] == "called"].to_dict("records"):
        i, j = names.index(row["run_a"]), names.index(row["run_b"])
        matrix[i, j] = matrix[j, i] = row["jaccard"]
    figure = Figure(figsize=(2.5 + 0.6 * n, 1.8 + 0.6 * n), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(matrix, vmin=0, vmax=1, cmap="viridis")
    axes.set_xticks(range(n), names, rotation=45, ha="right")
    axes.set_yticks(range(n), names)
    for i, j in np.argwhere(np.isfinite(matrix)):
        colour = "black" if matrix[i, j] > 0.6 else "white"
        axes.text(j, i, f"{matrix[i, j]:.2f}", ha="center", va="center", color=colour, fontsize=8)
    figure.colorbar(image, ax=axes, label="Jaccard index")
    axes.set_title("Called edges shared by runs", fontsize=10)
    return figure


def metrics_figure(metrics: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Draw every main metric as a row of dots, one for each run, on its own scale.

    An arrow beside the label points to better values.
    """
    records = {row["metric"]: row for row in metrics.to_dict("records")}
    shown = [records[path] for path in MAIN if path in records]
    rows = max(len(shown), 1)
    figure = Figure(figsize=(7, 0.8 + 0.55 * rows), layout="constrained")
    for axes, row in zip(figure.subplots(rows, squeeze=False)[:, 0], shown, strict=False):
        values = np.array([row[name] for name in names], float)
        for i, (name, value) in enumerate(zip(names, values, strict=True)):
            axes.plot([value], [0], "o", color=f"C{i % 10}", label=name, alpha=0.8)
        axes.axvline(np.nanmean(values), color="0.7", linewidth=1, zorder=0)
        axes.set_yticks([])
        text = _with_direction(str(row["label"]), str(row["better"]))
        axes.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=7)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "left", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper center", ncols=5, fontsize=8)
    return figure


def _with_direction(label: str, better: str) -> str:
    arrow = {"higher": " \N{RIGHTWARDS ARROW}", "lower": " \N{LEFTWARDS ARROW}"}.get(better, "")
    return textwrap.fill(label + arrow, 32)
