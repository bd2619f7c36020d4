"""The result of an evaluation, in memory: numbers, tables, effects and the network."""

from __future__ import annotations

import dataclasses
import html
from typing import Any

import numpy as np
import pandas as pd

from gpo_vae_jax.evaluate.effects.effect_arrays import Effects
from gpo_vae_jax.evaluate.effects.effect_table import effects_anndata
from gpo_vae_jax.evaluate.main_numbers import effect_rows, main_table, verdict_on_effects

__all__ = ["Effects", "Evaluation"]


@dataclasses.dataclass(frozen=True, repr=False)
class Evaluation:
    """What was found about one trained model (docs/evaluation.md).

    `table` lists the main numbers, `summary` all of them, nested as in evaluation.json. The network
    has T treatments, of which the first `n_perturbed` are perturbed; an edge is called where its
    probability is above `summary["settings"]["threshold"]`, and no edge joins a gene to itself.
    """

    summary: dict[str, Any]
    effects: Effects
    probabilities: np.ndarray  # [T, T] of edges, row regulates column
    treatments: tuple[str, ...]
    n_perturbed: int
    edges: (
        pd.DataFrame
    )  # called edges and the most probable pairs: source, target, probability, ...
    regulators: pd.DataFrame  # T rows: number of targets and of regulators, strongest target
    curve: pd.DataFrame  # by number of edges: mean_wasserstein, true_positive_share, ...
    history: pd.DataFrame | None = None  # losses by epoch; None where they were not recorded
    perturbations: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    # how well each perturbation is predicted, the worst first (`perturbation_table`)
    guides: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)  # of the screen
    control_kinds: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)  # docs/data.md

    @property
    def name(self) -> str:
        """Return the name of the run."""
        return str((self.summary.get("run") or {}).get("name") or "model")

    @property
    def table(self) -> pd.DataFrame:
        """Return the main numbers, one a row: metric, label, cells, source, value, better.

        `source` says what predicts: "model", "training mean", "global mean", or "half vs half" (one
        half of the training cells predicts the other). `better` is "higher", "lower" or empty.
        """
        return main_table(self.summary)

    def to_anndata(self):
        """Return the effects as AnnData of C perturbations and G genes.

        X is the model's effect, in log2(1 + counts per 10,000); layers hold the observed effects;
        `varp` has the network over genes (docs/evaluation.md, effects.h5ad).
        """
        settings = self.summary["settings"]
        return effects_anndata(self.effects, self.probabilities, self.treatments, settings)

    def __repr__(self) -> str:
        return f"Evaluation({self.name!r}: {self._headline()})"

    def _repr_html_(self) -> str:
        """Return a short table for notebooks."""
        table = effect_rows(self.summary).to_html(
            float_format=lambda value: f"{value:.3f}", na_rep="-", index_names=False
        )
        return f"<p><b>{html.escape(self.name)}</b>: {html.escape(self._headline())}</p>{table}"

    def _headline(self) -> str:
        """Return a sentence about prediction and network."""
        network = self.summary.get("network") or {}
        parts = [
            f"{len(self.effects.labels)} perturbations, {len(self.effects.genes)} genes",
            verdict_on_effects(self.summary),
            f"{network.get('n_edges', 0)} edges, {network.get('n_edges_block', 0)} of them between "
            "perturbed genes",
        ]
        return "; ".join(part for part in parts if part)
