"""SVG files of matplotlib as parts of a page: small, with the page's colours and font."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from gpo_vae_jax.evaluate.report.look import COLOURS
from gpo_vae_jax.evaluate.report.markup import Markup

_NUMBER = re.compile(r"-?\d+\.\d+")


def inline_svg(source: bytes, name: str, *, width: float, height: float, alt: str) -> Markup:
    """Return an SVG file as an element of the page.

    Fonts and colours become those of the page; ids are prefixed, so that several drawings can share
    a page.

    Args:
      source: the file as matplotlib writes it.
      name: prefix of all ids.
      width: of the drawing, in CSS pixels.
      height: of the drawing, in CSS pixels.
      alt: describes the drawing to a screen reader.
    """
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
        "viewBox": f"0 0 {width:g} {height:g}",
        "role": "img",
        "aria-label": alt,
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
            if found:
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
