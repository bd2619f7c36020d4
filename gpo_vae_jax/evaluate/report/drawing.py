"""From functions that draw on axes to figures of the page (SVG) and files (PNG at 2x)."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gpo_vae_jax.evaluate.report.look import SETTINGS, Mark
from gpo_vae_jax.evaluate.report.markup import Markup, element
from gpo_vae_jax.evaluate.report.svg import inline_svg
from gpo_vae_jax.files import written_beside

_IMAGE_SIDE = 12_000  # pixels a file may have on one side, at most
_PAD = 4.0  # CSS pixels around a panel


class Panel(NamedTuple):
    """One set of axes, drawn when needed; sizes in CSS pixels."""

    draw: Callable[[Axes], None]
    alt: str  # describes the panel to a screen reader
    width: float
    height: float
    bare: bool = False  # no axes: the panel is a drawing in pixels


class Plot(NamedTuple):
    """Panels that belong together: one file, and one figure of the page."""

    name: str  # of the file
    panels: tuple[Panel, ...]
    caption: object
    marks: tuple[Mark, ...] = ()  # the key above the panels
    columns: int = 3  # of panels in the file


def figure_of(plot: Plot, panels: slice | None = None) -> Markup:
    """Return a plot, or some of its panels, as a figure of the page.

    On narrow screens the panels stand below one another, at the size they were drawn for.
    """
    chosen = list(enumerate(plot.panels))[panels or slice(None)]
    drawn = [_svg(panel, f"{plot.name}-{i}") for i, panel in chosen]
    bare = plot.panels[0].bare
    width = f"--w:{max(panel.width for _, panel in chosen):g}px"
    kind = {"role": "region", "tabindex": "0", "aria_label": "drawing", "style": width}
    frame = (
        element("div", drawn, class_="drawing", **kind)
        if bare
        else element("div", drawn, class_="panels", style=width)
    )
    key = [element("li", _swatch(mark), mark.label) for mark in plot.marks]
    return element(
        "figure",
        element("ul", key, class_="key") if key else None,
        frame,
        element("p", "The drawing scrolls sideways.", class_="note hint") if bare else None,
        element("figcaption", plot.caption) if plot.caption and panels is None else None,
    )


def write_png(plot: Plot, folder: Path) -> Path:
    """Write all panels of a plot into one PNG file on white, at two pixels to a CSS pixel."""
    columns = min(plot.columns, len(plot.panels))
    rows = math.ceil(len(plot.panels) / columns)
    width = max(panel.width for panel in plot.panels)
    height = max(panel.height for panel in plot.panels)
    key_columns = 1 if columns * width < 600 else 2
    key = 25.0 * math.ceil(len(plot.marks) / key_columns)
    size = (columns * width, rows * height + key)
    path = folder / f"{plot.name}.png"
    with _settings(plot.name):
        figure = _figure(*size)
        for i, panel in enumerate(plot.panels):
            row, column = divmod(i, columns)
            _draw(panel, figure, (column * width, (rows - 1 - row) * height, width, height))
        if plot.marks:
            lines = [Line2D([], [], label=mark.label, **mark.style()) for mark in plot.marks]
            figure.legend(handles=lines, loc="upper left", ncols=key_columns)
        dpi = min(144.0, 72 * _IMAGE_SIDE / max(size))
        with written_beside(path) as beside:
            figure.savefig(beside, format="png", dpi=dpi, facecolor="white")
    return path


def _svg(panel: Panel, name: str) -> Markup:
    buffer = io.BytesIO()
    with _settings(name):
        figure = _figure(panel.width, panel.height)
        _draw(panel, figure, (0, 0, panel.width, panel.height))
        none = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=none)
    source = buffer.getvalue()
    return inline_svg(source, name, width=panel.width, height=panel.height, alt=panel.alt)


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in CSS pixels, its canvas attached."""
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasAgg(figure)
    return figure


def _draw(panel: Panel, figure: Figure, box: tuple[float, float, float, float]) -> None:
    """Draw a panel into a box (left, bottom, width, height) of the figure, in CSS pixels."""
    left, bottom, width, height = box
    inner = box if panel.bare else (left + 46, bottom + 40, width - 56, height - 66)
    axes = figure.add_axes(_fractions(figure, inner))
    if panel.bare:
        axes.set(xlim=(0, panel.width), ylim=(panel.height, 0), aspect="equal")
        axes.axis("off")
    panel.draw(axes)
    if not panel.bare:
        axes.set_position(_fractions(figure, _fitted(axes, box)))


def _fitted(axes: Axes, box: tuple[float, float, float, float]) -> tuple[float, ...]:
    """Return where the axes themselves go, so that all labels lie within the box.

    matplotlib's constrained layout finds the same place in three times the time.
    """
    left, bottom, width, height = box
    inner = axes.get_window_extent()
    whole = axes.get_tightbbox(for_layout_only=True) or inner
    before, below = inner.x0 - whole.x0 + _PAD, inner.y0 - whole.y0 + _PAD
    after, above = whole.x1 - inner.x1 + _PAD, whole.y1 - inner.y1 + _PAD
    return left + before, bottom + below, width - before - after, height - below - above


def _fractions(figure: Figure, box: tuple[float, ...]) -> tuple[float, float, float, float]:
    left, bottom, width, height = box
    whole = figure.bbox
    return left / whole.width, bottom / whole.height, width / whole.width, height / whole.height


@contextmanager
def _settings(name: str) -> Iterator[None]:
    """Set the look while a figure is drawn; letters that the font lacks are no reason to warn."""
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def _swatch(mark: Mark) -> Markup:
    """Draw a mark of the key."""
    colour = f"var(--{mark.colour})"
    look = {"fill": "var(--card)" if mark.hollow else colour, "stroke": colour, "stroke_width": 1.5}
    shapes = {
        "o": element("circle", cx=11, cy=7, r=3.6, **look),
        "D": element("path", d="M11 2.4L15.6 7L11 11.6L6.4 7Z", **look),
        "s": element("rect", x=7.4, y=3.4, width=7.2, height=7.2, **look),
        "^": element("path", d="M11 2.6L15.4 10.6H6.6Z", **look),
        "|": element("path", d="M11 1.5V12.5", **{**look, "stroke_width": 2.4}),
    }
    dashes = "4 3" if mark.line == "--" else None
    line = element(
        "path", d="M0 7H22", fill="none", stroke=colour, stroke_width=2, stroke_dasharray=dashes
    )
    return element(
        "svg",
        line if mark.line else None,
        shapes.get(mark.marker),
        viewBox="0 0 22 14",
        aria_hidden="true",
    )
