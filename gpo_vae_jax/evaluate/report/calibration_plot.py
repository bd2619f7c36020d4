"""Stated probabilities of edges against the share that are edges, and the calls in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy import stats

from gpo_vae_jax.evaluate.main_numbers import calls_in_words
from gpo_vae_jax.evaluate.report.drawing import Panel, Plot, figure_of
from gpo_vae_jax.evaluate.report.look import CALIBRATED, MUTED, UNCALIBRATED, Mark
from gpo_vae_jax.evaluate.report.markup import Markup, element, table
from gpo_vae_jax.evaluate.report.section import paragraph
from gpo_vae_jax.evaluate.report.wording import count, dig, number, real

_AGAINST = {"truth": "true network", "known_networks": "known networks"}
_MARKS = {"probability": UNCALIBRATED, "posterior": CALIBRATED}

Points = list[tuple[float, float, float]]  # stated, observed, number of pairs


def calibration_parts(summary: Mapping[str, Any]) -> tuple[list[Markup], Plot | None]:
    """Return what the calls at the expected FDR are worth, and the reliability diagram."""
    found, said = summary.get("calibration"), calls_in_words(summary)
    if not said or not isinstance(found, Mapping):
        return [], None
    plot = calibration_plot(
        found,
        "Pairs in ten bins of their stated probability, and the share of each bin that are edges. "
        "On the diagonal, probabilities mean what they say. Bars: 95 % intervals of the shares."
        + (
            " Known networks are incomplete: shares are too low."
            if dig(found, "known_networks")
            else ""
        ),
    )
    rows = [
        [name, *(number(dig(found, key, of, "expected_calibration_error")) for of in _MARKS)]
        for key, name in _AGAINST.items()
        if dig(found, key)
    ]
    header = ["against", *(mark.label for mark in _MARKS.values())]
    parts = [
        element("h3", "Edges called at an expected false discovery rate"),
        paragraph(said),
        figure_of(plot) if plot else None,
        table("Expected calibration error", header, rows) if rows else None,
    ]
    return [part for part in parts if part is not None], plot


def calibration_plot(found: Mapping[str, Any], caption: object) -> Plot | None:
    """Draw a reliability diagram against the truth, and one against known networks."""
    panels = []
    for key, name in _AGAINST.items():
        series = {of: _points(dig(found, key, of)) for of in _MARKS}
        if any(series.values()):
            panels.append(_diagram(f"Against the {name}", series))
    marks = tuple(_MARKS.values())
    return Plot("calibration", tuple(panels), caption, marks, 2) if panels else None


def _points(bins: Any) -> Points:
    """Return stated probability, observed share and number of pairs of each bin."""
    found: Points = []
    for key in bins if isinstance(bins, Mapping) else ():
        stated, observed, n = (real(dig(bins, key, of)) for of in ("stated", "observed", "n_pairs"))
        if stated is not None and observed is not None and n is not None:
            found.append((stated, observed, n))
    return found


def _diagram(title: str, series: Mapping[str, Points]) -> Panel:
    def draw(axes: Axes) -> None:
        axes.set_title(title)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        for of, points in series.items():
            _line(axes, points, _MARKS[of])
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.set_xlabel("stated probability")
        axes.set_ylabel("share that are edges")

    told = "; ".join(
        f"{_MARKS[of].label}: "
        + ", ".join(f"{number(x, 2)} stated, {number(y, 2)} of {count(n)}" for x, y, n in points)
        for of, points in series.items()
        if points
    )
    return Panel(draw, f"{title}, stated probability and share of edges. {told}", 300, 290)


def _line(axes: Axes, points: Points, mark: Mark) -> None:
    if not points:
        return
    stated, observed, n = (np.array(values) for values in zip(*points, strict=True))
    low, high = _interval(observed * n, n)
    style = mark.style(6)
    axes.vlines(stated, low, high, color=style["color"], linewidth=1, alpha=0.5, zorder=2)
    axes.plot(stated, observed, clip_on=False, zorder=3, **style)


def _interval(positive: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % interval of shares (Clopper and Pearson)."""
    low = np.where(positive > 0, stats.beta.ppf(0.025, positive, n - positive + 1), 0.0)
    high = np.where(positive < n, stats.beta.ppf(0.975, positive + 1, n - positive), 1.0)
    return low, high
