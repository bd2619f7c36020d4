"""The perturbations that the model predicts far worse than the training mean does."""

from __future__ import annotations

import pandas as pd

from gpo_vae_jax.evaluate.report.markup import Markup, joined, table
from gpo_vae_jax.evaluate.report.section import empty, paragraph
from gpo_vae_jax.evaluate.report.wording import count, name, number, plural

_SHORTFALL = 0.1  # in Pearson's r; a perturbation that falls shorter is missed
_ROWS = 15


def missed_section(perturbations: pd.DataFrame) -> Markup:
    """Return a sentence and a table of the missed perturbations, the worst first.

    Args:
      perturbations: a row each, with columns perturbation, cells_train, cells_test, r_model,
        r_train_mean, own_gene_predicted and own_gene_observed.
    """
    comparable = perturbations
    if len(perturbations):
        comparable = perturbations[perturbations["r_train_mean"].notna()]
    if not len(comparable):
        return empty("No perturbation has test cells and a training mean to compare with.")
    missed = missed_perturbations(comparable)
    if not len(missed):
        return paragraph(
            f"None of {plural(len(comparable), 'perturbation')}: nowhere does the model's r fall "
            f"more than {_SHORTFALL:g} short of the training mean's."
        )
    some = f"{count(len(missed))} of {plural(len(comparable), 'perturbation')}"
    if len(missed) == len(comparable) > 1:
        some = f"all {plural(len(comparable), 'perturbation')}"
    text = (
        f"For {some} the model's r "
        f"(over genes, on test cells) falls more than {_SHORTFALL:g} short of the training mean's. "
        + _own_gene_words(missed)
    )
    shown = missed.head(_ROWS)
    rows = [
        [
            name(row["perturbation"], 40),
            count(row["cells_train"] + row["cells_test"]),
            number(row["r_model"], 2, fixed=True),
            number(row["r_train_mean"], 2, fixed=True),
            _both(row["own_gene_predicted"], row["own_gene_observed"]),
        ]
        for row in shown.to_dict("records")
    ]
    header = [
        *("perturbation", "cells", "r, model", "r, training mean"),
        "own gene, predicted / observed",
    ]
    note = (
        "Cells: training and test cells. Own gene: log2 fold change of the perturbed gene itself "
        "(mean over the genes of a combination). perturbations.csv lists every perturbation."
    )
    title = "Missed perturbations, worst first"
    if len(missed) > len(shown):
        title = f"The {len(shown)} worst missed perturbations"
    return joined([paragraph(text.strip()), table(title, header, rows, note=note)])


def missed_perturbations(perturbations: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose r falls short of the training mean's, the largest gap first.

    A model that predicts the same change for all genes has no r: its gap counts as the largest.
    """
    gap = perturbations["r_train_mean"] - perturbations["r_model"]
    gap = gap.where(perturbations["r_model"].notna(), float("inf"))
    missed = perturbations[gap > _SHORTFALL]
    return missed.loc[gap[gap > _SHORTFALL].sort_values(ascending=False, kind="stable").index]


def _both(predicted: float, observed: float) -> str:
    return f"{number(predicted, 2, fixed=True)} / {number(observed, 2, fixed=True)}"


def _own_gene_words(missed: pd.DataFrame) -> str:
    """Return how often the perturbed gene itself is predicted to change by less than half."""
    predicted, observed = missed["own_gene_predicted"], missed["own_gene_observed"]
    known = predicted.notna() & observed.notna() & (observed != 0)
    weak = int((predicted[known] / observed[known] < 0.5).sum())
    if not known.any():
        return ""
    if not weak:
        return "It predicts at least half of the change of the perturbed gene itself for each."
    which = "For all of these it" if weak == len(missed) else f"For {count(weak)} of these it"
    which = "It also" if len(missed) == 1 else which
    return f"{which} predicts less than half of the observed change of the perturbed gene itself."
