"""From functions that draw on axes to figures of the page (SVG) and files (PNG at 2x)."""

from __future__ import annotations

import io
import math
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gpo_vae_jax.evaluate.report.look import COLOURS, SETTINGS, Mark
from gpo_vae_jax.evaluate.report.markup import Markup, element
from gpo_vae_jax.files import written_beside

_NUMBER = re.compile(r"-?\d+\.\d+")
_IMAGE_SIDE = 12_000  # pixels a file may have on one side, at most


class Panel(NamedTuple):
    """Hold one set of axes, drawn when needed; sizes in CSS pixels."""

    draw: Callable[[Axes], None]
    alt: str  # what is to be seen, for those who cannot see it
    width: float
    height: float
    bare: bool = False  # no axes: the panel is a drawing in pixels


class Plot(NamedTuple):
    """Hold panels that belong together: one file, and one figure of the page."""

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
    width = columns * max(panel.width for panel in plot.panels)
    height = rows * max(panel.height for panel in plot.panels)
    key = 24.0 * len(plot.marks) if width < 600 else 26.0 * math.ceil(len(plot.marks) / 2)
    path = folder / f"{plot.name}.png"
    with _settings(plot.name):
        figure = Figure(figsize=(width / 72, (height + key) / 72), dpi=72, layout="constrained")
        FigureCanvasAgg(figure)
        for i, panel in enumerate(plot.panels):
            _draw(panel, figure.add_subplot(rows, columns, i + 1))
        if plot.marks:
            lines = [Line2D([], [], label=mark.label, **mark.style()) for mark in plot.marks]
            place, beside = "outside upper left", 1 if width < 600 else 2
            figure.legend(handles=lines, loc=place, ncols=beside)
        dpi = min(144.0, 72 * _IMAGE_SIDE / max(width, height + key))
        with written_beside(path) as beside:
            figure.savefig(beside, format="png", dpi=dpi, facecolor="white")
    return path


def _svg(panel: Panel, name: str) -> Markup:
    buffer = io.BytesIO()
    with _settings(name):
        size = (panel.width / 72, panel.height / 72)
        figure = Figure(figsize=size, dpi=72, layout="none" if panel.bare else "constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1)) if panel.bare else figure.add_subplot()
        _draw(panel, axes)
        none = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=none)
    return _for_page(buffer.getvalue(), name, panel)


def _draw(panel: Panel, axes: Axes) -> None:
    if panel.bare:
        axes.set(xlim=(0, panel.width), ylim=(panel.height, 0), aspect="equal")
        axes.axis("off")
    panel.draw(axes)


@contextmanager
def _settings(name: str) -> Iterator[None]:
    """Set the look while a figure is drawn; letters that the font lacks are no reason to warn."""
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def _for_page(source: bytes, name: str, panel: Panel) -> Markup:
    """Cut an SVG file down to what a page needs, its colours those of the page."""
    root = ElementTree.fromstring(source)
    used = set(re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", source.decode()))
    used = {one or other for one, other in used}
    for parent in list(root.iter()):
        parent.tag = _local(parent.tag)
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
        _clean(parent, name, used)
    root.attrib = {
        "class": "plot",
        "viewBox": f"0 0 {panel.width:g} {panel.height:g}",
        "role": "img",
        "aria-label": panel.alt,
    }
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _clean(node: ElementTree.Element, name: str, used: set[str]) -> None:
    attributes = {}
    for key, value in node.attrib.items():
        key = _local(key)
        if key == "id":
            if value not in used:
                continue
            value = f"{name}-{value}"
        elif key == "href" and value.startswith("#"):
            value = f"#{name}-{value[1:]}"
        elif key == "clip-path":
            value = value.replace("url(#", f"url(#{name}-")
        elif key == "style":
            value = _style(value)
        elif key == "transform" and value.startswith("rotate(-0 "):
            continue
        if key in ("d", "x", "y", "width", "height", "transform"):
            value = _NUMBER.sub(
                lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value
            )
            value = value.replace("\n", "").strip()
        attributes[key] = value
    node.attrib = attributes
    if node.text is not None and not node.text.strip():
        node.text = None
    node.tail = None


def _style(style: str) -> str:
    """Return a style with the page's font and with colours that follow the page's."""
    kept = []
    for rule in style.split(";"):
        key, _, value = (part.strip() for part in rule.partition(":"))
        if key == "font":  # older versions: weight, size and family in one
            found = re.match(r"(?:.*?(bold|[5-9]00)\s+)?.*?([\d.]+px)", value)
            kept += [f"font-size:{found[2]}"] + ["font-weight:600"] * bool(found[1])
        elif key == "font-weight":
            kept.append("font-weight:600")
        elif key and key != "font-family":
            kept.append(f"{key}:{value}")
    text = ";".join(kept)
    for colour, code in COLOURS.items():
        text = text.replace(code, f"var(--{colour})")
    return text


def _local(name: str) -> str:
    return name.rpartition("}")[2]


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
