"""A section of the report, and which effects the report is about."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpo_vae_jax.evaluate.report.drawing import Plot
from gpo_vae_jax.evaluate.report.markup import Markup, element, folded_on_phones, joined
from gpo_vae_jax.evaluate.report.wording import dig, real
from gpo_vae_jax.evaluate.results import Effects

UNITS = {"perturbseq": "log2 fold change", "mean": "counts"}


class Section(NamedTuple):
    """A section of the page: its anchor, heading, content and plots."""

    anchor: str
    title: str
    body: Markup
    plots: tuple[Plot, ...] = ()
    folded: bool = False  # on narrow screens, until the reader opens it

    def html(self) -> Markup:
        """Return the section for the page."""
        heading = element("h2", self.title, id=f"{self.anchor}-title")
        labelled = {"id": self.anchor, "aria_labelledby": f"{self.anchor}-title"}
        body = folded_on_phones("Show this section", self.body) if self.folded else self.body
        return element("section", heading, body, **labelled)


def paragraph(*content: object, **attributes: object) -> Markup:
    """Return a paragraph."""
    return element("p", *content, **attributes)


def main_transform(summary: dict[str, Any]) -> str:
    """Return the transform of the headline numbers: perturbseq where it was computed."""
    found = summary.get("effects") or {}
    return "perturbseq" if "perturbseq" in found or not found else next(iter(found))


def main_cells(summary: dict[str, Any]) -> str:
    """Return the cells of the headline numbers: test cells, or all cells if there are none."""
    by_cells = dig(summary, "effects", main_transform(summary)) or {}
    scored = [
        cells
        for cells in ("held_out", "reference")
        if real(dig(by_cells, cells, "model", "pearson")) is not None
    ]
    return scored[0] if scored else "held_out"


def observed_effects(effects: Effects, transform: str) -> tuple[np.ndarray, str] | None:
    """Return observed effects [C, G] and the cells they are of; None where there are none.

    The cells are `held_out` where test cells were observed, `reference` otherwise.
    """
    for values, cells in ((effects.held_out, "held_out"), (effects.reference, "reference")):
        array = values.get(transform)
        if array is not None and np.isfinite(array).any():
            return np.asarray(array), cells
    return None


def empty(text: str) -> Markup:
    """Return a note that there is nothing to show, and why."""
    return joined([paragraph(text, class_="note")])
