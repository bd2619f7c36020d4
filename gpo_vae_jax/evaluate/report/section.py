"""A section of the report, and what sections ask of an evaluation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpo_vae_jax.evaluate.report.drawing import Plot
from gpo_vae_jax.evaluate.report.markup import Markup, element, joined
from gpo_vae_jax.evaluate.report.wording import dig, real
from gpo_vae_jax.evaluate.results import Effects

UNITS = {"perturbseq": "log2", "mean": "counts"}


class Section(NamedTuple):
    """Hold a section: its place, its heading, what it says, and the plots that it shows."""

    anchor: str
    title: str
    body: Markup
    plots: tuple[Plot, ...] = ()

    def html(self) -> Markup:
        """Return the section for the page."""
        heading = element("h2", self.title, id=f"{self.anchor}-title")
        labelled = {"id": self.anchor, "aria_labelledby": f"{self.anchor}-title"}
        return element("section", heading, self.body, **labelled)


def paragraph(*content: object, **attributes: object) -> Markup:
    """Return a paragraph."""
    return element("p", *content, **attributes)


def main_transform(summary: dict[str, Any]) -> str:
    """Return the transform that headlines are about: perturbseq where it was computed."""
    found = summary.get("effects") or {}
    return "perturbseq" if "perturbseq" in found or not found else next(iter(found))


def main_cells(summary: dict[str, Any]) -> str:
    """Return the cells that headlines are about: test cells, or all where there are no test cells."""
    by_cells = dig(summary, "effects", main_transform(summary)) or {}
    scored = [
        cells
        for cells in ("held_out", "reference")
        if real(dig(by_cells, cells, "model", "pearson")) is not None
    ]
    return scored[0] if scored else "held_out"


def seen(effects: Effects, transform: str) -> tuple[np.ndarray, str] | None:
    """Return observed effects [C, G] with what they are of; None where nothing was observed."""
    for values, cells in ((effects.held_out, "held_out"), (effects.reference, "reference")):
        array = values.get(transform)
        if array is not None and np.isfinite(array).any():
            return np.asarray(array), cells
    return None


def empty(text: str) -> Markup:
    """Say that there is nothing to show, and why."""
    return joined([paragraph(text, class_="note")])
