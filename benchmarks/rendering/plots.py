"""Plots of the results: a step beside its floor, its growth with each size, its parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from gpo_vae_jax.evaluate.report.look import CARD, COLOURS, INK, LINE, MODEL, MUTED, SETTINGS

TORCH, FLOOR = COLOURS["train-mean"], COLOURS["ink"]
NAMES = {"rpe1": "RPE1", "k562": "K562", "adamson": "Adamson", "tiny": "tiny"}
SIZES = {"genes": "genes", "treatments": "treatments", "particles": "particles",
         "batch_size": "cells of a batch"}  # fmt: skip

BESIDE = {"torch": "PyTorch", "upstream": "the original"}  # what a step is compared with


def seconds(value: float) -> str:
    """Return a time as text, in a fitting unit."""
    if value >= 99.5:
        return f"{value:,.0f} s"
    if value >= 0.9995:
        return f"{value:.3g} s"
    if value >= 0.9995e-3:
        return f"{value * 1e3:.3g} ms"
    return f"{value * 1e6:.3g} µs"


def title_of(entry: dict[str, Any]) -> str:
    """Return the shape, device and precision of an entry as text."""
    device = {"cpu": "processor", "cuda": "GPU"}.get(entry["device"], entry["device"])
    return f"{NAMES.get(entry['shape'], entry['shape'])}, {device}, {entry['precision']}"


@contextmanager
def figure(path: Path, width: float, height: float, title: str) -> Iterator[Figure]:
    """Yield a figure in the project's style, and save it when the block ends."""
    with matplotlib.rc_context({**SETTINGS, "figure.facecolor": CARD}):
        drawn = Figure(figsize=(width, height), dpi=110)
        FigureCanvasAgg(drawn)
        drawn.suptitle(title, x=0.012, ha="left", color=INK, fontsize=13, fontweight="bold")
        yield drawn
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(path, metadata={"Software": None})


def plot_steps(entries: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw each shape's step beside PyTorch's and the floor, on a log scale of time."""
    height = 1.2 + 0.8 * len(entries)
    with figure(path, 9.5, height, "Time of an optimiser step, log scale") as drawn:
        axes = drawn.add_axes((0.18, 0.45 / height, 0.785, (height - 1.0) / height))
        for row, entry in enumerate(entries):
            _step_row(axes, len(entries) - 1 - row, entry)
        floors = [entry["floor"]["floor_s"] for entry in entries]
        ends = [(e.get("torch") or e["jax"])["step_s"]["max"] for e in entries]
        axes.set_xscale("log")
        wide = max(max(ends) / min(floors), 30)
        axes.set_xlim(min(floors) / wide**0.18, min(floors) * wide**1.06)
        axes.set_ylim(-0.6, len(entries) - 0.4)
        names = [title_of(entry).replace(", ", "\n", 1) for entry in reversed(entries)]
        axes.set_yticks(range(len(entries)), names)
        _seconds_on(axes.xaxis)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0, labelcolor=INK)


def _step_row(axes: Axes, y: int, entry: dict[str, Any]) -> None:
    floor, ours = entry["floor"], entry["jax"]["step_s"]
    least, at = floor["floor_s"], ours["median"]
    axes.plot([least, at], [y, y], color=LINE, linewidth=6, solid_capstyle="butt")
    axes.plot([least, least], [y - 0.28, y + 0.28], color=FLOOR, linewidth=2.4)
    left = min(least, ours["min"])  # a step that skips rows can beat the floor
    _label(axes, left, y, f"floor {seconds(least)}", FLOOR, (-9, -4), "right")
    if "torch" in entry:
        beside, name = entry["torch"]["step_s"], BESIDE[entry["beside"]]
        axes.plot([at, beside["median"]], [y, y], color=LINE, linewidth=1.2, zorder=1)
        _ranged(axes, y, beside, TORCH)
        text = f"{name} {seconds(beside['median'])}, {entry['times_faster']:g} times as long"
        _label(axes, beside["median"], y, text, TORCH, (6, -18), "right", bold=True)
    _ranged(axes, y, ours, MODEL)
    text = f"this package {seconds(at)}, {floor['share_reached']:.0%} of the floor's speed"
    _label(axes, at, y, text, MODEL, (-4, 8), "left", bold=True)


def _ranged(axes: Axes, y: int, of: dict[str, float], colour: str) -> None:
    axes.plot([of["min"], of["max"]], [y, y], color=colour, linewidth=3, solid_capstyle="round")
    axes.plot(of["median"], y, "o", color=colour, markersize=9, markeredgecolor=CARD)


def _label(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    colour: str,
    shift: tuple[float, float],
    side: str,
    bold: bool = False,
) -> None:
    """Annotate a point, `shift` points away from it."""
    weight, size = ("bold", 10.5) if bold else ("normal", 9.5)
    axes.annotate(text, (x, y), shift, textcoords="offset points", ha=side, color=colour,
                  fontweight=weight, fontsize=size)  # fmt: skip


def plot_sizes(entry: dict[str, Any], path: Path) -> None:
    """Draw a step's time against each size on log scales, with its floor and its limit."""
    lines = entry["lines"]
    title = f"A step's time against size ({title_of(entry)})"
    rate = entry["gflop_per_s"]
    with figure(path, 2.3 + 2.45 * len(lines), 3.9, title) as drawn:
        several = drawn.subplots(1, len(lines), sharey=True, squeeze=False)[0]
        drawn.subplots_adjust(left=0.075, right=0.985, bottom=0.2, top=0.78, wspace=0.12)
        for axes, (name, points) in zip(several, lines.items(), strict=True):
            x = [point["value"] for point in points]
            y = [point["step_s"]["median"] for point in points]
            least = [point["gflop"] / rate for point in points]
            growth = entry["growth"][name]
            limit = [y[0], y[0] * growth["at_most"]]
            axes.plot([x[0], x[-1]], limit, color=MUTED, linewidth=1, linestyle=":")
            axes.plot(x, least, color=FLOOR, linewidth=1.4)
            axes.plot(x, y, color=MODEL, marker="o", linewidth=2, markersize=6.5)
            for at, of in zip(x, (point["step_s"] for point in points), strict=True):
                axes.plot([at, at], [of["min"], of["max"]], color=MODEL, linewidth=1.2)
            axes.set(xscale="log", yscale="log")
            axes.set_xlim(x[0] / 1.25, x[-1] * 1.25)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xticks(x, [f"{value:,}" for value in x])
            axes.set_xlabel(SIZES[name])
            axes.set_title(
                f"4 times as many: {growth['times']:g} times longer\n"
                f"products {growth['products']:g}, at most {growth['at_most']:g}",
                fontsize=9.5, fontweight="normal", color=INK if growth["within"] else TORCH,
            )  # fmt: skip
        _sizes_labels(several, lines, entry)


def _sizes_labels(several: Sequence[Axes], lines: dict[str, Any], entry: dict[str, Any]) -> None:
    """Label the lines of the first panel directly."""
    times = [p["step_s"] for line in lines.values() for p in line]
    least = [p["gflop"] / entry["gflop_per_s"] for line in lines.values() for p in line]
    several[0].set_ylim(min(least) / 1.3, 2.2 * max(of["max"] for of in times))
    name, first = next(iter(lines.items()))
    x, floor = first[1]["value"], first[1]["gflop"] / entry["gflop_per_s"]
    limit = first[0]["step_s"]["median"] * entry["growth"][name]["at_most"] ** 0.5
    _label(several[0], x, limit, "at most", MUTED, (-8, 5), "right")
    last = first[-1]
    at = (last["value"], last["step_s"]["median"])
    _label(several[0], *at, "a step", MODEL, (-12, 2), "right", True)
    _label(several[0], x, floor, "floor", FLOOR, (4, -14), "left")
    several[0].set_ylabel("time of a step, log scale")
    _seconds_on(several[0].yaxis)


def plot_profile(entry: dict[str, Any], path: Path) -> None:
    """Draw the time of each part of a step as a bar, with its floor as a line across."""
    parts = sorted(entry["parts"], key=lambda part: part["in_step_s"])
    total = sum(part["in_step_s"] for part in parts)
    title = f"Where a step's time goes ({title_of(entry)})"
    height = 1.55 + 0.36 * len(parts)
    with figure(path, 9.5, height, title) as drawn:
        axes = drawn.add_axes((0.185, 0.6 / height, 0.79, (height - 1.3) / height))
        for y, part in enumerate(parts):
            axes.barh(y, part["in_step_s"], height=0.62, color=MODEL, alpha=0.85)
            axes.plot([part["floor_s"]] * 2, [y - 0.4, y + 0.4], color=FLOOR, linewidth=2.2)
            end = max(part["in_step_s"], part["floor_s"])
            text = (
                f"{seconds(part['in_step_s'])}, {part['in_step_s'] / total:.0%}; "
                f"floor {seconds(part['floor_s'])} ({part['bound_by']})"
            )
            axes.annotate(text, (end, y), (7, 0), textcoords="offset points", va="center",
                          color=MUTED, fontsize=9.5)  # fmt: skip
        axes.set_yticks(range(len(parts)), [part["part"] for part in parts])
        axes.set_xlim(0, 1.62 * max(max(p["in_step_s"], p["floor_s"]) for p in parts))
        axes.xaxis.set_major_formatter(lambda value, _: seconds(value) if value else "0")
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        whole = seconds(entry["whole_s"]["median"])
        axes.set_title(
            f"whole step {whole}, the sum of its parts alone {seconds(total)}; "
            "black lines: the floor of each part",
            fontsize=10, fontweight="normal", color=MUTED,
        )  # fmt: skip
        axes.set_xlabel("time of a part alone, forward and backward")


def _seconds_on(axis: Any) -> None:
    """Label 1, 2 and 5 times each power of ten as times."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda value, _: seconds(value))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(NullLocator())
