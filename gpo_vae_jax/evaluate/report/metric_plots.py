"""Plots of single numbers: metrics beside baselines, known networks, quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from gpo_vae_jax.evaluate.effect_sources import CELLS
from gpo_vae_jax.evaluate.metrics import Limits, Metric, direction, find
from gpo_vae_jax.evaluate.report.drawing import Panel, Plot
from gpo_vae_jax.evaluate.report.look import BY_CHANCE, INK, LINE, MUTED, PREDICTORS, Mark
from gpo_vae_jax.evaluate.report.wording import dig, name, number, real, words

_LOWEST = -0.4  # of the axis that ends at 1; lower values are written at its edge
_SHARED: Limits = (None, 1)
_WIDTH, _ROW = 360, 29

Row = tuple[str, Mapping[str, float | None]]  # label, and values by the key of their mark


def effect_metrics(by_cells: Mapping[str, Any]) -> list[Metric]:
    """Return the rows of the metric table for all metrics of effects that were computed.

    A metric that is not in the table has its key as label, and no direction.
    """
    keys = {
        key: None
        for cells in CELLS
        for part in (by_cells.get(cells) or {}).values()
        for key in part or {}
    }
    return [find(key) or Metric(key, words(key), "", None, (None, None), "") for key in keys]


def metrics_plot(by_cells: Mapping[str, Any], caption: object) -> Plot | None:
    """Draw the model beside the baselines: a line of marks for each metric.

    Metrics that are best at 1 share an axis, one panel for each set of cells. Any other metric has
    a panel of its own, with its own axis.
    """
    found = effect_metrics(by_cells)
    shared = [row for row in found if direction(row) == "higher" and row.limits[1] == 1]
    wanted: list[tuple[str, list[Row], Limits]] = [
        (text.capitalize(), [(row.label, _scores(by_cells, cells, row)) for row in shared], _SHARED)
        for cells, text in CELLS.items()
    ]
    for row in found:
        if row not in shared:
            own: list[Row] = [
                (text, _scores(by_cells, cells, row)) for cells, text in CELLS.items()
            ]
            wanted.append((_title(row), own, row.limits))
    panels = [
        dots(title, rows, PREDICTORS, limits)
        for title, every, limits in wanted
        if (rows := [row for row in every if _numbers([row])])
    ]
    marks = tuple(PREDICTORS.values())
    return Plot("metrics", tuple(panels), caption, marks, 2) if panels else None


def known_networks_plot(known: Mapping[str, Any], caption: object) -> Plot | None:
    """Draw the precision of the called edges beside that of random pairs."""
    marks = {"precision": Mark("called edges", "model", "o"), "random_precision": BY_CHANCE}
    rows = [
        (name(key, 16), {which: real(dig(known, key, which)) for which in marks}) for key in known
    ]
    rows = [row for row in rows if row[1]["precision"] is not None][:30]
    if not rows:
        return None
    panel = dots("Precision", rows, marks, (0, None))
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
    if not _numbers(rows):
        return None
    panel = dots("Share of cells that pass", rows, marks, (0, 1))
    return Plot("quality", (panel,), caption, tuple(marks.values()), 1)


def _scores(by_cells: Mapping[str, Any], cells: str, row: Metric) -> dict[str, float | None]:
    return {who: real(dig(by_cells, cells, who, row.name)) for who in PREDICTORS}


def _title(row: Metric) -> str:
    text = f"{row.label}, {row.unit}" if row.unit else row.label
    return f"{text} ({direction(row)} is better)" if direction(row) else text


def _numbers(rows: Sequence[Row]) -> list[float]:
    return [value for _, row in rows for value in row.values() if value is not None]


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


def _ends(values: Sequence[float], limits: Limits) -> tuple[float, float]:
    """Return the ends of an axis: its limits, or where they are open, the values and a margin."""
    low, high = limits
    if limits == _SHARED:
        low = max(min(*values, 0.0), _LOWEST)
    left = min(values) if low is None else low
    right = max(values) if high is None else high
    margin = 0.04 * ((right - left) or abs(right) or 1.0)
    return left - margin, right + margin * (1 if high is not None else 2)


def dots(title: str, rows: Sequence[Row], marks: Mapping[str, Mark], limits: Limits) -> Panel:
    """Draw one line of marks for each row; values left of the axis are written at its edge."""
    left, right = _ends(_numbers(rows), limits)

    def draw(axes: Axes) -> None:
        axes.set_title(title)
        axes.set(xlim=(left, right), ylim=(len(rows) - 0.4, -0.6))
        axes.set_yticks(range(len(rows)), [label for label, _ in rows])
        axes.tick_params(axis="y", labelcolor=INK, pad=8)
        axes.locator_params(axis="x", nbins=6)
        axes.grid(False, axis="y")
        axes.spines["left"].set_visible(False)
        if left < 0 < right:
            axes.axvline(0, color=MUTED, linewidth=0.8, zorder=0.6)
        for y, (_, row) in enumerate(rows):
            there = [v for v in row.values() if v is not None]
            if there:
                ends = [max(min(there), left), max(max(there), left)]
                axes.plot(ends, [y, y], color=LINE, linewidth=3, solid_capstyle="round", zorder=1)
            for who in reversed(list(marks)):  # the first lies on top
                value = row.get(who)
                if value is not None:
                    _mark(axes, value, y, marks[who], left, right)

    told = "; ".join(
        f"{label}: "
        + ", ".join(f"{marks[who].label} {number(v, 2)}" for who, v in row.items() if v is not None)
        for label, row in rows[:12]
    )
    return Panel(draw, f"{title}. {told}", _WIDTH, 70 + _ROW * len(rows))


def _mark(axes: Axes, value: float, y: float, mark: Mark, left: float, right: float) -> None:
    if value >= left:
        axes.plot([value], [y], zorder=3, clip_on=False, **mark.style(7))
        return
    style = mark.style(7, marker="<")
    axes.plot([left], [y], zorder=3, clip_on=False, **style)
    place = left + 0.025 * (right - left)
    axes.text(place, y - 0.3, number(value, 1), fontsize=9, color=style["color"], va="center")
