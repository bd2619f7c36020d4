"""Plots of predicted against observed effects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from gpo_vae_jax.evaluate.report.drawing import Panel, Plot
from gpo_vae_jax.evaluate.report.look import COLOURS, INK, LINE, MUTED, OBSERVED, PREDICTORS
from gpo_vae_jax.evaluate.report.wording import name, number

_BINS = 48
_LEVELS = 7
_LONGEST = 15  # letters of a name in a plot


def density_plot(
    pairs: Sequence[tuple[str, str, np.ndarray, np.ndarray]], caption: object, unit: str
) -> Plot | None:
    """Draw the density of (perturbation, gene) pairs: predicted against observed effect.

    Args:
      pairs: (title, key of PREDICTORS, predicted [C, G], observed [C, G]).
      caption: below the figure.
      unit: of the effects.
    """
    limit = max((_limit(predicted, observed) for _, _, predicted, observed in pairs), default=0)
    panels = []
    for title, who, predicted, observed in pairs:
        counts, edges = binned(predicted, observed, limit or 1.0)
        if counts.sum():
            draw = partial(_density, title=title, who=who, counts=counts, edges=edges, unit=unit)
            told = (
                f"{title} against observed effects of {int(counts.sum()):,} pairs, from "
                f"{number(-limit, 2)} to {number(limit, 2)}; the closer to the diagonal, the better"
            )
            panels.append(Panel(draw, told, 322, 316))
    return Plot("effects", tuple(panels), caption, (), 3) if panels else None


def perturbations_panel(model: np.ndarray, baseline: np.ndarray) -> Panel | None:
    """Draw each perturbation's correlation: the model's against the training mean's, [C] each."""
    both = np.isfinite(model) & np.isfinite(baseline)
    if not both.any():
        return None
    model, baseline = model[both], baseline[both]
    better = int((model > baseline).sum())

    def draw(axes: Axes) -> None:
        low, high = min(model.min(), baseline.min()), max(model.max(), baseline.max())
        pad = max(0.06 * (high - low), (0.3 - (high - low)) / 2)
        low, high = float(low - pad), float(min(high + pad, 1.02))
        axes.plot(
            [low, high], [low, high], color=MUTED, linewidth=1, linestyle=(0, (3, 2)), zorder=1
        )
        few = len(model) <= 150
        axes.plot(
            baseline,
            model,
            linestyle="none",
            marker="o",
            markersize=4.5 if few else 3.2,
            color=COLOURS["model"],
            alpha=0.75 if few else 0.4,
            markeredgewidth=0,
        )
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.locator_params(nbins=5)
        axes.set_title("Pearson r by perturbation")
        axes.set_xlabel("training mean")
        axes.set_ylabel("model")

    told = (
        f"Pearson r of {len(model)} perturbations: the model's is higher than the training "
        f"mean's in {better}"
    )
    return Panel(draw, told, 322, 316)


def top_genes_plot(
    rows: Sequence[tuple[str, Sequence[str], dict[str, np.ndarray]]], caption: object, unit: str
) -> Plot | None:
    """Draw the strongest genes of some perturbations: observed, model and training mean.

    Args:
      rows: (perturbation, its genes, values by "observed", "model" and "train_mean").
      caption: below the figure.
      unit: of the effects.
    """
    if not rows:
        return None
    panels = []
    for label, genes, values in rows:
        draw = partial(_top_genes, label=label, genes=genes, values=values, unit=unit)
        strongest = ", ".join(
            f"{name(gene, 30)} observed {number(seen, 2)}, model {number(model, 2)}"
            for gene, seen, model in list(
                zip(genes, values["observed"], values["model"], strict=True)
            )[:3]
        )
        told = f"{name(label, 60)}: {strongest}"
        panels.append(Panel(draw, told, 322, 66 + 16.5 * len(genes)))
    marks = (PREDICTORS["model"], PREDICTORS["train_mean"], OBSERVED)
    return Plot("top_genes", tuple(panels), caption, marks, 3)


def binned(
    predicted: np.ndarray, observed: np.ndarray, limit: float
) -> tuple[np.ndarray, np.ndarray]:
    """Count the pairs in each square of a grid from -limit to limit.

    Returns:
      Counts [bins, bins], row: predicted, column: observed; and the edges of the bins.
    """
    edges = np.linspace(-limit, limit, _BINS + 1)
    counts = np.zeros((_BINS, _BINS), np.int64)
    step = max(1, 2_000_000 // max(1, predicted.shape[1]))
    for start in range(0, len(predicted), step):
        x = np.asarray(observed[start : start + step], np.float64).ravel()
        y = np.asarray(predicted[start : start + step], np.float64).ravel()
        there = np.isfinite(x) & np.isfinite(y)
        column = ((x[there] + limit) / (2 * limit) * _BINS).astype(np.int64).clip(0, _BINS - 1)
        row = ((y[there] + limit) / (2 * limit) * _BINS).astype(np.int64).clip(0, _BINS - 1)
        counts += np.bincount(row * _BINS + column, minlength=_BINS**2).reshape(_BINS, _BINS)
    return counts, edges


def _limit(*arrays: np.ndarray) -> float:
    top = 0.0
    for array in arrays:
        if array.size:
            smallest = float(np.nanmin(array, initial=0.0, where=np.isfinite(array)))
            largest = float(np.nanmax(array, initial=0.0, where=np.isfinite(array)))
            top = max(top, -smallest, largest)
    return 1.02 * top


def _density(
    axes: Axes, title: str, who: str, counts: np.ndarray, edges: np.ndarray, unit: str
) -> None:
    """Draw one shape for each level of counts, which keeps the SVG small and free of seams."""
    level = np.zeros(counts.shape, int)
    top = max(np.log10(counts.max()), 1e-9)
    some = counts > 0
    level[some] = 1 + np.minimum((np.log10(counts[some]) / top * _LEVELS), _LEVELS - 1).astype(int)
    width = edges[1] - edges[0]
    for value in range(1, _LEVELS + 1):
        rows, columns = np.nonzero(level == value)
        if len(rows):
            shape = _squares(edges[columns], edges[rows], width * 0.94)
            alpha = 0.16 + 0.84 * (value - 1) / (_LEVELS - 1)
            colour = COLOURS[PREDICTORS[who].colour]
            axes.add_patch(PathPatch(shape, facecolor=colour, alpha=alpha, linewidth=0, zorder=2))
    span = [edges[0], edges[-1]]
    axes.plot(span, span, color=MUTED, linewidth=1, linestyle=(0, (3, 2)), zorder=3)
    axes.set(xlim=span, ylim=span, aspect="equal")
    axes.set_title(title)
    axes.set_xlabel(f"observed, {unit}")
    axes.set_ylabel("predicted")
    axes.locator_params(nbins=5)


def _squares(left: np.ndarray, low: np.ndarray, width: float) -> Outline:
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) * width
    points = np.stack([left, low], axis=-1)[:, None, :] + corners
    codes = [Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY]
    return Outline(points.reshape(-1, 2), np.tile(codes, len(left)))


def _top_genes(
    axes: Axes, label: str, genes: Sequence[str], values: dict[str, np.ndarray], unit: str
) -> None:
    axes.set_title(name(label, 32))
    axes.grid(False, axis="y")
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    for y, (seen, model) in enumerate(zip(values["observed"], values["model"], strict=True)):
        if np.isfinite(seen) and np.isfinite(model):
            axes.plot([seen, model], [y, y], color=LINE, linewidth=3, zorder=1.5)
    rows = np.arange(len(genes))
    axes.plot(values["observed"], rows, zorder=4, **OBSERVED.style(5.8))
    baseline = PREDICTORS["train_mean"].style(3.8, markeredgewidth=1)
    axes.plot(values["train_mean"], rows, zorder=2, **baseline)
    axes.plot(values["model"], rows, zorder=3, **PREDICTORS["model"].style(5))
    axes.set_yticks(rows, [name(gene, _LONGEST) for gene in genes])
    axes.tick_params(axis="y", labelcolor=INK, labelsize=10.2)
    axes.set_ylim(len(genes) - 0.4, -0.6)
    axes.set_xlabel(unit)
    axes.locator_params(axis="x", nbins=5)
    axes.spines["left"].set_visible(False)
