"""How training went."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gpo_vae_jax.evaluate.report.drawing import figure_of
from gpo_vae_jax.evaluate.report.history_plots import EDGES, history_plot
from gpo_vae_jax.evaluate.report.markup import joined
from gpo_vae_jax.evaluate.report.section import Section, empty, paragraph
from gpo_vae_jax.evaluate.report.wording import count, dig, real


def training_section(summary: dict[str, Any], history: pd.DataFrame | None) -> Section:
    """Return the loss and each of its terms by epoch; folded on narrow screens.

    Of a history of several seeds, the rows of the evaluated seed are shown.
    """
    best = real(dig(summary, "run", "best_epoch"))
    counted = history is not None and "edges_0.5" in history.columns
    edges = f" {EDGES}: edges of a gene to itself are not counted." if counted else ""
    marked = f"The dotted line marks the best epoch, {count(best)}. " if best is not None else ""
    plot = history_plot(
        _of_seed(history, dig(summary, "run", "seed")),
        best,
        f"{marked}The first epochs may lie beyond the vertical axis. Each term is shown as it "
        "enters the loss: lower is better. Training curves are means over an epoch, validation "
        f"curves are taken at its end.{edges}",
    )
    if plot is None:
        text = "No history of the training epochs is at hand, so no curves are shown."
        return Section("training", "Training", empty(text))
    text = "The evaluated parameters are those of the epoch with the lowest validation loss."
    body = joined([paragraph(text), figure_of(plot)])
    return Section("training", "Training", body, (plot,), folded=True)


def _of_seed(history: pd.DataFrame | None, seed: object) -> pd.DataFrame | None:
    if history is None or "seed" not in history.columns:
        return history
    own = history[history["seed"] == seed] if seed is not None else history
    own = own if len(own) else history[history["seed"] == history["seed"].iloc[0]]
    return own.drop(columns="seed").reset_index(drop=True)
