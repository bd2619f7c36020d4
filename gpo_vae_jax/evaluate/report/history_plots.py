"""Plots of a training run, epoch by epoch."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gpo_vae_jax.evaluate.report.drawing import Panel, Plot
from gpo_vae_jax.evaluate.report.look import (
    ALL_PAIRS,
    BLOCK_PAIRS,
    COLOURS,
    MUTED,
    TRAINING,
    VALIDATION,
    Mark,
)
from gpo_vae_jax.evaluate.report.wording import count, number, words

TERMS = {
    "loss": "Loss (sum of the terms)",
    "reconstruction": "Reconstruction",
    "basal": "Basal state z",
    "embedding": "Embedding E",
    "mask": "Mask M",
    "quality": "Quality embedding",
    "counterfactual_kl": "Counterfactual KL",
    "grn": "Network alignment",
    "penalty": "Edge penalty",
    "readout": "Readout B",
    "invariance": "Invariance of z",
}
EDGES = "Edges above 0.5"
_NO_EDGES = "no edge above 0.5"
_POINTS = 400  # of a curve, at most
_FEW = 10  # epochs: all are shown where there are fewer
_SKIPPED = 0.03  # share of epochs, at the start, that may lie beyond the vertical axis
_WIDTH, _HEIGHT = 238, 182

Curves = list[tuple[np.ndarray, Mark]]


def history_plot(
    history: pd.DataFrame | None, best_epoch: float | None, caption: object
) -> Plot | None:
    """Draw the loss and each of its terms by epoch, the gradient norm and the number of edges."""
    if history is None or len(history) == 0:
        return None
    columns = {str(column): _numbers(history[column]) for column in history.columns}
    epochs = columns.pop("epoch", np.arange(len(history), dtype=float))
    panels = []
    for term in _terms(columns):
        both = ((f"train_{term}", TRAINING), (f"val_{term}", VALIDATION))
        panels.append((TERMS.get(term, words(term)), _recorded(columns, both)))
    gradient = Mark("gradient norm", "ink", "", "-")
    panels.append(("Gradient norm", _recorded(columns, (("gradient_norm", gradient),))))
    every = ALL_PAIRS._replace(marker="", label="edges, all")
    block = BLOCK_PAIRS._replace(marker="", label="edges between perturbed genes")
    counted = _recorded(columns, (("edges_0.5", every), ("block_edges_0.5", block)))
    panels.append((EDGES, counted))
    drawn = tuple(
        Panel(
            partial(_curves, title=title, epochs=epochs, curves=curves, best=best_epoch),
            _told(title, epochs, curves),
            _WIDTH,
            _HEIGHT,
        )
        for title, curves in panels
        if curves
    )
    marks = (VALIDATION, TRAINING, *(mark for _, mark in counted if _any(counted)))
    return Plot("history", drawn, caption, marks, 4) if drawn else None


def _terms(columns: dict[str, np.ndarray]) -> list[str]:
    """Return the terms that were recorded, without those not in use beside others: 0 throughout."""
    found = [
        column.partition("_")[2] for column in columns if column.startswith(("train_", "val_"))
    ]
    used = [
        term
        for term in found
        if any(np.any(columns.get(f"{split}_{term}", 0) != 0) for split in ("train", "val"))
    ]
    found = used or found
    return [term for term in TERMS if term in found] + sorted(set(found) - set(TERMS))


def _recorded(columns: dict[str, np.ndarray], wanted: tuple[tuple[str, Mark], ...]) -> Curves:
    return [
        (columns[column], mark)
        for column, mark in wanted
        if column in columns and np.isfinite(columns[column]).any()
    ]


def _numbers(column: pd.Series) -> np.ndarray:
    values = np.array(pd.to_numeric(column, errors="coerce"), np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def _any(curves: Curves) -> bool:
    """Return whether any value of the curves is not 0."""
    return any(bool(np.nansum(np.abs(values))) for values, _ in curves)


def _curves(axes: Axes, title: str, epochs: np.ndarray, curves: Curves, best: float | None) -> None:
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.set_xlim(*_epochs_shown(epochs))
    if len(epochs) == 1:
        axes.set_xticks(epochs, [count(epochs[0])])
    else:
        axes.locator_params(axis="x", nbins=5, integer=True)
    if title == EDGES and not _any(curves):
        axes.set_yticks([])
        axes.grid(False)
        axes.text(0.5, 0.5, _NO_EDGES, transform=axes.transAxes, ha="center", color=MUTED)
        return
    step = max(1, -(-len(epochs) // _POINTS))
    for values, mark in curves:
        style = mark.style(4, linewidth=1.6)
        if len(epochs) == 1:
            style["marker"] = "o"
        axes.plot(epochs[::step], values[::step], **style)
    axes.set_ylim(*_range([values for values, _ in curves]))
    axes.locator_params(axis="y", nbins=4, integer=title == EDGES)
    if best is not None and epochs.min() <= best <= epochs.max():
        axes.axvline(best, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        at = int(np.argmin(np.abs(epochs - best)))
        values, mark = curves[-1]
        if mark is VALIDATION and np.isfinite(values[at]):
            style = mark.style(4.5, color=COLOURS["ink"], marker="o")
            axes.plot([epochs[at]], [values[at]], zorder=4, **style)


def _epochs_shown(epochs: np.ndarray) -> tuple[float, float]:
    first, last = float(epochs.min()), float(epochs.max())
    margin = 0.02 * (last - first) or 0.5
    return first - margin, last + margin


def _range(curves: list[np.ndarray]) -> tuple[float, float]:
    """Return limits that show all but the first few epochs, which are often far away.

    What is nowhere negative has no axis below 0.
    """
    n = len(curves[0])
    skipped = int(np.ceil(_SKIPPED * n)) if n >= _FEW else 0
    every = np.concatenate(curves)
    every = every[np.isfinite(every)]
    late = np.concatenate([values[skipped:] for values in curves])
    late = late[np.isfinite(late)]
    late = late if late.size else every
    low, high = float(late.min()), float(late.max())
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    bottom = low - margin
    if every.min() >= 0 and bottom < 0:
        bottom = -0.03 * (high + margin)  # the line at 0 stays whole
    return bottom, high + margin


def _told(title: str, epochs: np.ndarray, curves: Curves) -> str:
    if title == EDGES and not _any(curves):
        return f"{title} over {len(epochs)} epochs: {_NO_EDGES}"
    parts = []
    for values, mark in curves:
        known = values[np.isfinite(values)]
        parts.append(f"{mark.label} from {number(known[0], 2)} to {number(known[-1], 2)}")
    return f"{title} over {len(epochs)} epochs: {'; '.join(parts)}"
