"""The look of all plots: one colour and one mark for each meaning, on the page and in files."""

from __future__ import annotations

from typing import Any, NamedTuple

from gpo_vae_jax.evaluate.effect_sources import SOURCES, UNSEEN_SOURCES

# Safe for colour-blind readers on white. style.css repeats them as variables, brighter on dark.
COLOURS = {
    "ink": "#1b2430",
    "muted": "#5b6675",
    "line": "#dfe3e8",
    "card": "#ffffff",
    "model": "#0072b2",
    "train-mean": "#d06a00",
    "global-mean": "#b0508c",
    "ceiling": "#00875f",
    "random": "#7d8794",
    "below": "#9a3412",
}
INK, MUTED, LINE, CARD = (COLOURS[key] for key in ("ink", "muted", "line", "card"))
MODEL, RANDOM = COLOURS["model"], COLOURS["random"]


class Mark(NamedTuple):
    """The mark and colour of one meaning."""

    label: str
    colour: str  # a key of COLOURS
    marker: str = ""  # o, D, s, ^, | or none
    line: str = ""  # "-", "--" or none
    hollow: bool = False

    def style(self, size: float = 6.5, **changes: Any) -> dict[str, Any]:
        """Return the keywords of Axes.plot, with changes."""
        colour = COLOURS[self.colour]
        thick = 2.2 if self.marker == "|" else 1.3
        return {
            "color": colour,
            "marker": self.marker or "none",
            "linestyle": self.line or "none",
            "linewidth": 1.5,
            "markersize": size * (1.55 if self.marker == "|" else 1.0),
            "markeredgewidth": thick,
            "markerfacecolor": CARD if self.hollow else colour,
            **changes,
        }


PREDICTORS = {
    "model": Mark(SOURCES["model"], "model", "o"),
    "network_depth": Mark(SOURCES["network_depth"], "model", "o", hollow=True),
    "own_cells": Mark(SOURCES["own_cells"], "model", "^", hollow=True),
    "fixed_library": Mark(SOURCES["fixed_library"], "random", "o", hollow=True),
    "train_mean": Mark(SOURCES["train_mean"], "train-mean", "D"),
    "shrunk_mean": Mark(SOURCES["shrunk_mean"], "train-mean", "D", hollow=True),
    "global_mean": Mark(SOURCES["global_mean"], "global-mean", "s"),
    "ceiling": Mark(f"{SOURCES['ceiling']} of the training cells (noise)", "ceiling", "^"),
}
UNSEEN_MARKS = {  # of perturbations without training cells
    "model": PREDICTORS["model"],
    "fixed_library": PREDICTORS["fixed_library"],
    "global_mean": PREDICTORS["global_mean"],
    "additive": Mark(UNSEEN_SOURCES["additive"], "train-mean", "D"),
    "knockdown": Mark(UNSEEN_SOURCES["knockdown"], "ink", "D", hollow=True),
    "ceiling": Mark(f"{UNSEEN_SOURCES['ceiling']} of the test cells (noise)", "ceiling", "^"),
}
OBSERVED = Mark("observed", "ink", "|")
VALIDATION = Mark("validation", "ink", "", "-")
TRAINING = Mark("training", "random", "", "-")
BY_CHANCE = Mark("random pairs", "random", "|")
ALL_PAIRS = Mark("all measured targets", "model", "o", "-")
BLOCK_PAIRS = Mark("among perturbed genes", "model", "o", "--", hollow=True)
ALL_BY_CHANCE = Mark("random, all measured targets", "random", "", "-")
CALIBRATED = Mark("calibrated probability", "model", "o", "-")
UNCALIBRATED = Mark("probability of the model", "random", "D", "--", hollow=True)
BLOCK_BY_CHANCE = Mark("random, among perturbed genes", "random", "", "--")
GUIDE_VERDICTS = {
    "works": Mark("the guide works", "ink", "o"),
    "no effect": Mark("no effect", "below", "D"),
    "disagrees": Mark("disagrees with the other guides", "below", "s", hollow=True),
    "unclear": Mark("unclear, or too few cells", "random", "o", hollow=True),
}

SETTINGS = {
    "font.family": ["DejaVu Sans"],
    "font.size": 11.0,
    "text.color": INK,
    "text.parse_math": False,
    "text.usetex": False,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.formatter.use_mathtext": False,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-4, 6),
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11.0,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.titlepad": 8.0,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 11.0,
    "path.simplify": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "savefig.bbox": None,
    "svg.fonttype": "none",
    "svg.image_inline": True,
}
