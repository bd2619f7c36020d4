"""Plots of a training run, epoch by epoch."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

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
from gpo_vae_jax.evaluate.report.wording import number, words

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
}
_POINTS = 400  # of a curve, at most
_SKIPPED = 0.03  # share of epochs, at the start, that may lie beyond the vertical axis

Curves = list[tuple[np.ndarray, Mark]]


def history_plot(
    history: pd.DataFrame | None, best_epoch: float | None, caption: object
) -> Plot | None:
    """Draw the loss and each of its terms by epoch, and what is watched besides."""
    if history is None or len(history) == 0:
        return None
    columns = {column: _numbers(history[column]) for column in history.columns}
    epochs = columns.pop("epoch", np.arange(len(history), dtype=float))
    panels = []
    for term in _terms(columns):
        both = ((f"train_{term}", TRAINING), (f"val_{term}", VALIDATION))
        panels.append((TERMS.get(term, words(term)), _there(columns, both)))
    gradient = Mark("gradient norm", "ink", "", "-")
    panels.append(("Gradient norm", _there(columns, (("gradient_norm", gradient),))))
    network = tuple(
        (column, mark._replace(marker=""))
        for column, mark in (("edges_0.5", ALL_PAIRS), ("block_edges_0.5", BLOCK_PAIRS))
    )
    panels.append(("Edges above 0.5", _there(columns, network)))
    drawn = tuple(
        Panel(
            partial(_curves, title=title, epochs=epochs, curves=curves, best=best_epoch),
            _told(title, epochs, curves),
            238,
            165,
        )
        for title, curves in panels
        if curves
    )
    marks = [VALIDATION, TRAINING]
    if any(title == "Edges above 0.5" for title, curves in panels if curves):
        marks += [
            ALL_PAIRS._replace(marker="", label="edges, all"),
            network[1][1]._replace(label="edges among perturbed genes"),
        ]
    return Plot("history", drawn, caption, tuple(marks), 4) if drawn else None


def _terms(columns: dict[str, np.ndarray]) -> list[str]:
    found = [
        column.partition("_")[2] for column in columns if column.startswith(("train_", "val_"))
    ]
    return [term for term in TERMS if term in found] + sorted(set(found) - set(TERMS))


def _there(columns, wanted) -> Curves:
    return [
        (columns[column], mark)
        for column, mark in wanted
        if column in columns and np.isfinite(columns[column]).any()
    ]


def _numbers(column: pd.Series) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _curves(axes, title: str, epochs: np.ndarray, curves: Curves, best: float | None) -> None:
    axes.set_title(title)
    step = max(1, -(-len(epochs) // _POINTS))
    alone = "o" if len(epochs) == 1 else ""
    for values, mark in curves:
        style = {**mark.style(4), "linewidth": 1.6}
        if alone:
            style["marker"] = alone
        axes.plot(epochs[::step], values[::step], **style)
    low, high = _range([values for values, _ in curves])
    axes.set_ylim(low, high)
    if best is not None and epochs.min() <= best <= epochs.max():
        axes.axvline(best, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        at = int(np.argmin(np.abs(epochs - best)))
        values, mark = curves[-1]
        if mark is VALIDATION and np.isfinite(values[at]):
            style = {**mark.style(4.5), "color": COLOURS["ink"], "marker": "o"}
            axes.plot([epochs[at]], [values[at]], zorder=4, **style)
    axes.locator_params(axis="y", nbins=4)
    axes.locator_params(axis="x", nbins=5, integer=True)
    axes.margins(x=0.02)


def _range(curves: list[np.ndarray]) -> tuple[float, float]:
    """Return limits that show all but the first few epochs, which are often far away."""
    skipped = min(int(np.ceil(_SKIPPED * len(curves[0]))), len(curves[0]) - 1)
    late = np.concatenate([values[skipped:] for values in curves])
    late = late[np.isfinite(late)]
    if late.size == 0:
        late = np.concatenate(curves)
        late = late[np.isfinite(late)]
    low, high = float(late.min()), float(late.max())
    pad = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - pad, high + pad


def _told(title: str, epochs: np.ndarray, curves: Curves) -> str:
    parts = []
    for values, mark in curves:
        seen = values[np.isfinite(values)]
        parts.append(f"{mark.label} from {number(seen[0], 2)} to {number(seen[-1], 2)}")
    return f"{title} over {len(epochs)} epochs: {'; '.join(parts)}"
