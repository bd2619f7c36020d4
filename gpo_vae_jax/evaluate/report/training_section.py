"""How training went."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gpo_vae_jax.evaluate.report.drawing import figure_of
from gpo_vae_jax.evaluate.report.history_plots import history_plot
from gpo_vae_jax.evaluate.report.markup import joined
from gpo_vae_jax.evaluate.report.section import Section, empty, paragraph
from gpo_vae_jax.evaluate.report.wording import count, dig, real


def training_section(summary: dict[str, Any], history: pd.DataFrame | None) -> Section:
    """Show the loss and each of its terms by epoch."""
    best = real(dig(summary, "run", "best_epoch"))
    marked = f"The dotted line marks the best epoch, {count(best)}. " if best is not None else ""
    plot = history_plot(
        history,
        best,
        f"{marked}The first epochs may lie beyond the vertical axis. All terms are as they enter "
        "the loss: lower is better. Training curves are means during an epoch, validation curves "
        "stand for its end.",
    )
    if plot is None:
        return Section("training", "Training", empty("The run has no record of its epochs."))
    text = "The parameters that are evaluated are those of the epoch of lowest validation loss."
    return Section("training", "Training", joined([paragraph(text), figure_of(plot)]), (plot,))
