"""Plots of single numbers: metrics against baselines, known networks, quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpo_vae_jax.evaluate.report.drawing import Panel, Plot
from gpo_vae_jax.evaluate.report.look import BY_CHANCE, INK, LINE, MUTED, PREDICTORS, Mark
from gpo_vae_jax.evaluate.report.wording import dig, name, number, real

CELLS = {"held_out": "Test cells", "reference": "All cells"}
_LOWEST = -0.4  # worse values are written at the edge


def metric_names(metrics: Mapping[str, Any], top: object = 20) -> dict[str, str]:
    """Name the metrics of effects that were computed, in the order they are shown."""
    fixed = {
        "pearson": "Pearson r, all genes",
        "r2": "R², all genes",
        "pearson_top": f"Pearson r, top {top}",
        "r2_top": f"R², top {top}",
    }
    found = {key: None for part in metrics.values() for key in (part or {})}
    named = {key: label for key, label in fixed.items() if key in found}
    for key in found:
        if key not in fixed:
            size = key.removeprefix("jaccard_")
            named[key] = f"Jaccard, top {size}" if size != key else name(key.replace("_", " "))
    return named


def metrics_plot(by_cells: Mapping[str, Any], top: object, caption: object) -> Plot | None:
    """Draw a row of dots for each metric: model, baselines and ceiling."""
    panels = []
    for key, label in CELLS.items():
        metrics = by_cells.get(key) or {}
        names = metric_names(metrics, top)
        rows = [
            (text, {who: real(dig(metrics, who, metric)) for who in PREDICTORS})
            for metric, text in names.items()
        ]
        rows = [row for row in rows if any(value is not None for value in row[1].values())]
        if rows:
            panels.append(_dots(label, rows, PREDICTORS))
    return (
        Plot("metrics", tuple(panels), caption, tuple(PREDICTORS.values()), 2) if panels else None
    )


def known_networks_plot(known: Mapping[str, Any], caption: object) -> Plot | None:
    """Draw the precision of the called edges against that of random pairs."""
    marks = {"precision": Mark("called edges", "model", "o"), "random_precision": BY_CHANCE}
    rows = [
        (name(key, 16), {which: real(dig(known, key, which)) for which in marks}) for key in known
    ]
    rows = [row for row in rows if row[1]["precision"] is not None][:30]
    if not rows:
        return None
    panel = _dots("Precision", rows, marks, unit=False)
    return Plot("known_networks", (panel,), caption, tuple(marks.values()), 1)


def quality_plot(series: Mapping[str, Mapping[str, Any]], caption: object) -> Plot | None:
    """Draw the share of cells that pass at each threshold; `series` by label, then by MADs."""
    marks = _quality_marks(series)
    thresholds = sorted(
        {key for part in series.values() for key in part}, key=lambda key: (real(key) or 0, key)
    )
    rows = [
        (f"{key} MADs", {label: real(part.get(key)) for label, part in series.items()})
        for key in thresholds
    ]
    if not any(value is not None for _, values in rows for value in values.values()):
        return None
    panel = _dots("Share of cells that pass", rows, marks)
    return Plot("quality", (panel,), caption, tuple(marks.values()), 1)


def _quality_marks(series: Mapping[str, Any]) -> dict[str, Mark]:
    looks = iter((("model", "o", False), ("model", "o", True), ("model", "D", True)))
    marks = {}
    for label in series:
        if label.startswith("observed cells"):
            marks[label] = Mark(label, "ink", "|")
        else:
            colour, marker, hollow = next(looks, ("model", "s", True))
            marks[label] = Mark(label, colour, marker, hollow=hollow)
    return marks


def _dots(
    title: str,
    rows: Sequence[tuple[str, Mapping[str, float | None]]],
    marks: Mapping[str, Mark],
    *,
    unit: bool = True,
) -> Panel:
    """Draw one line for each row with its marks; values below the axis are written at its edge."""
    values = [v for _, row in rows for v in row.values() if v is not None]
    lowest = min(min(values), 0.0)
    left = max(lowest, _LOWEST) - (0.06 if lowest < 0 else 0.03)
    right = 1.03 if unit else 1.12 * max(max(values), 1e-3)
    left = left if unit else -0.03 * right

    def draw(axes):
        axes.set_title(title)
        axes.set(xlim=(left, right), ylim=(len(rows) - 0.4, -0.6))
        axes.set_yticks(range(len(rows)), [label for label, _ in rows])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(False, axis="y")
        axes.spines["left"].set_visible(False)
        if left < 0:
            axes.axvline(0, color=MUTED, linewidth=0.8, zorder=0.6)
        for y, (_, row) in enumerate(rows):
            there = [v for v in row.values() if v is not None]
            if there:
                ends = [max(min(there), left), max(max(there), left)]
                axes.plot(ends, [y, y], color=LINE, linewidth=3, solid_capstyle="round", zorder=1)
            for who in reversed(list(marks)):  # the first lies on top
                if row.get(who) is not None:
                    _mark(axes, row[who], y, marks[who], left, right)

    told = "; ".join(
        f"{label}: "
        + ", ".join(f"{marks[who].label} {number(v, 2)}" for who, v in row.items() if v is not None)
        for label, row in rows[:12]
    )
    return Panel(draw, f"{title}. {told}", 360, 70 + 29 * len(rows))


def _mark(axes, value: float, y: float, mark: Mark, left: float, right: float) -> None:
    if value >= left:
        axes.plot([value], [y], zorder=3, clip_on=False, **mark.style(7))
        return
    style = {**mark.style(7), "marker": "<"}
    axes.plot([left], [y], zorder=3, clip_on=False, **style)
    place = left + 0.025 * (right - left)
    axes.text(place, y - 0.3, number(value, 1), fontsize=9, color=style["color"], va="center")
