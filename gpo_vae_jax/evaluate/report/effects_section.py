"""Predicted beside observed effects: all pairs, the perturbations missed, the strongest genes."""

from __future__ import annotations

import numpy as np

from gpo_vae_jax.evaluate.effect_sources import CELLS
from gpo_vae_jax.evaluate.report.drawing import Plot, figure_of
from gpo_vae_jax.evaluate.report.effect_plots import (
    density_plot,
    perturbations_panel,
    top_genes_plot,
)
from gpo_vae_jax.evaluate.report.markup import element, folded, joined
from gpo_vae_jax.evaluate.report.missed_perturbations import missed_section
from gpo_vae_jax.evaluate.report.section import (
    UNITS,
    Section,
    empty,
    main_transform,
    observed_effects,
    paragraph,
)
from gpo_vae_jax.evaluate.report.wording import plural
from gpo_vae_jax.evaluate.results import Effects, Evaluation
from gpo_vae_jax.statistics.correlation import row_pearson

_SHOWN, _OPEN, _GENES = 12, 3, 20
_TITLE = "Predicted and observed effects"


def effects_section(evaluation: Evaluation) -> Section:
    """Return predicted beside observed effects: all pairs, perturbations, strongest genes."""
    summary, effects = evaluation.summary, evaluation.effects
    transform = main_transform(summary)
    found = observed_effects(effects, transform)
    model = effects.model.get(transform)
    if found is None or model is None or not len(effects.labels):
        return Section("effects", _TITLE, empty("There are no observed effects to compare with."))
    observed, cells = found
    unit = UNITS.get(transform, "")
    baseline = effects.train_mean.get(transform)
    pairs, by_perturbation = _pairs_plot(model, baseline, observed, cells, unit)
    strongest = strongest_perturbations(effects, transform)
    rows = [_top_rows(effects, transform, observed, i) for i in strongest]
    which = "The perturbation" if len(rows) == 1 else f"The {len(rows)} perturbations"
    genes = top_genes_plot(
        [row for row in rows if row[1]],
        f"{which} of largest effect over all cells, each with its genes of largest effect. "
        f"Observed: {CELLS[cells]}. The grey bar is the model's error.",
        unit,
    )
    missed = [
        element("h3", "Perturbations that the model misses"),
        missed_section(evaluation.perturbations),
    ]
    body: list[object] = [empty("No pair has both a predicted and an observed effect."), missed]
    if pairs:
        n = len(pairs.panels) - by_perturbation
        scatter = figure_of(pairs, slice(n, None)) if by_perturbation else None
        beside = element("div", element("div", missed), element("div", scatter), class_="pair")
        note = paragraph(pairs.caption, class_="note")
        body = [figure_of(pairs, slice(0, n)), note, beside]
    if genes:
        body += [element("h3", "The strongest genes"), figure_of(genes, slice(0, _OPEN))]
        more = len(genes.panels) - _OPEN
        if more > 0:
            rest = figure_of(genes, slice(_OPEN, None))
            body.append(folded(f"{plural(more, 'more perturbation')}", rest))
        body.append(paragraph(genes.caption, class_="note"))
    return Section("effects", _TITLE, joined(body), tuple(filter(None, (pairs, genes))))


def strongest_perturbations(effects: Effects, transform: str, n: int = _SHOWN) -> list[int]:
    """Return the rows of the perturbations with the largest effects over all cells (Euclidean)."""
    values = effects.reference.get(transform)
    if values is None:
        found = observed_effects(effects, transform)
        values = found[0] if found else np.zeros((0, 0))
    size = np.array([np.sqrt(np.nansum(np.square(np.float64(row)))) for row in values])
    return [int(i) for i in np.argsort(-size, kind="stable")[:n] if size[i] > 0]


def _pairs_plot(
    model: np.ndarray,
    baseline: np.ndarray | None,
    observed: np.ndarray,
    cells: str,
    unit: str,
) -> tuple[Plot | None, bool]:
    """Return the plot of all pairs, and whether its last panel compares perturbations."""
    pairs = [("Predicted: model", "model", model, observed)]
    if baseline is not None:
        pairs.append(("Predicted: training mean", "train_mean", baseline, observed))
    caption = (
        f"All pairs of perturbation and gene, observed in {CELLS[cells]}. The stronger the colour, "
        "the more pairs (logarithmic). A perfect prediction lies on the diagonal."
    )
    plot = density_plot(pairs, caption, unit)
    if plot is None or baseline is None:
        return plot, False
    r_model, r_mean = row_pearson(model, observed), row_pearson(baseline, observed)
    panel = perturbations_panel(r_model, r_mean)
    if panel is None:
        return plot, False
    both = np.isfinite(r_model) & np.isfinite(r_mean)
    caption += (
        " Pearson r by perturbation: one dot each; the model is better above the line, in "
        f"{int((r_model > r_mean)[both].sum()):,} of {int(both.sum()):,}."
    )
    return plot._replace(panels=(*plot.panels, panel), caption=caption), True


def _top_rows(
    effects: Effects, transform: str, observed: np.ndarray, row: int
) -> tuple[str, list[str], dict[str, np.ndarray]]:
    """Return a perturbation's label, its strongest genes and their effects by source."""
    reference = effects.reference.get(transform)
    ranked = observed[row] if reference is None else np.asarray(reference[row], float)
    size = np.where(np.isfinite(ranked), np.abs(ranked), -1.0)
    genes = [int(g) for g in np.argsort(-size, kind="stable")[:_GENES] if size[g] > 0]
    genes.sort(key=lambda g: -ranked[g])
    baseline = effects.train_mean.get(transform)
    values = {
        "observed": np.asarray(observed[row], float)[genes],
        "model": np.asarray(effects.model[transform][row], float)[genes],
        "train_mean": np.asarray(baseline[row], float)[genes]
        if baseline is not None
        else np.full(len(genes), np.nan),
    }
    return effects.labels[row], [effects.genes[g] for g in genes], values
