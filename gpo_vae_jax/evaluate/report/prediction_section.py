"""How well effects are predicted: metrics against baselines, pairs, and the strongest genes."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpo_vae_jax.evaluate.report.drawing import Plot, figure_of
from gpo_vae_jax.evaluate.report.effect_plots import (
    density_plot,
    perturbations_panel,
    top_genes_plot,
)
from gpo_vae_jax.evaluate.report.look import PREDICTORS
from gpo_vae_jax.evaluate.report.markup import Markup, definitions, element, folded, joined, table
from gpo_vae_jax.evaluate.report.metric_plots import CELLS, metric_names, metrics_plot
from gpo_vae_jax.evaluate.report.section import (
    UNITS,
    Section,
    empty,
    main_transform,
    paragraph,
    seen,
)
from gpo_vae_jax.evaluate.report.wording import count, dig, number, plural, real
from gpo_vae_jax.evaluate.results import Effects

_SHORT = {
    "model": "model",
    "train_mean": "training mean",
    "global_mean": "global mean",
    "ceiling": "ceiling",
}
_TRANSFORMS = {
    "perturbseq": "log2(1 + counts per 10,000)",
    "mean": "plain counts",
}
_SHOWN, _OPEN, _GENES = 12, 3, 20


def metrics_section(summary: dict[str, Any]) -> Section:
    """Show metrics of effects beside the baselines, and the predictive bound."""
    effects, settings = summary.get("effects") or {}, summary.get("settings") or {}
    main, top = main_transform(summary), settings.get("top", 20)
    plot = metrics_plot(
        effects.get(main) or {},
        top,
        "Further right is better. Left: cells that training never saw. Right: all cells, as "
        "published figures are computed; training cells are among them.",
    )
    body = [
        paragraph(
            "An effect is the mean of the cells with a perturbation minus the mean of the control "
            f"cells, for each gene, here of {_TRANSFORMS.get(main, main)}. The baselines are "
            "predictions that need no model."
        ),
        figure_of(plot) if plot else empty("No metric of effects could be computed."),
        _tables(effects.get(main) or {}, top),
        [
            folded(f"The same for {_TRANSFORMS.get(key, key)}", _tables(effects[key] or {}, top))
            for key in effects
            if key != main
        ],
        _iwelbo(summary.get("predictive_iwelbo") or {}),
        element("h3", "What the numbers mean"),
        definitions(_meanings(settings)),
    ]
    return Section("metrics", "Prediction against baselines", joined(body), (plot,) if plot else ())


def _tables(by_cells: dict[str, Any], top: object) -> Markup:
    drawn = []
    for cells, label in CELLS.items():
        metrics = by_cells.get(cells) or {}
        names = metric_names(metrics, top)
        if names:
            who = [key for key in PREDICTORS if key in metrics]
            rows = [[text, *_row(metrics, who, key)] for key, text in names.items()]
            drawn.append(table(label, ["metric", *(_SHORT[key] for key in who)], rows))
    return element("div", drawn, class_="pair")


def _row(metrics: dict[str, Any], who: list[str], metric: str) -> list[object]:
    """Return the values of a metric; the best prediction (the ceiling is none) stands out."""
    values = {key: real(dig(metrics, key, metric)) for key in who}
    ranked = [value for key, value in values.items() if key != "ceiling" and value is not None]
    best = max(ranked, default=None)
    return [
        element("span", number(value), class_="best")
        if key != "ceiling" and value is not None and value == best
        else number(value)
        for key, value in values.items()
    ]


def _iwelbo(found: dict[str, Any]) -> Markup:
    mean, error = real(found.get("mean")), real(found.get("standard_error"))
    if mean is None:
        return empty("The predictive IWELBO was not computed.")
    text = f"Predictive IWELBO: {number(mean, 2)}"
    text += f" ± {number(error, 2)} (standard error)" if error is not None else ""
    text += f" nats per cell, over {count(found.get('n_cells'))} test cells with "
    text += f"{count(found.get('n_particles'))} particles. Higher is better; it compares models on "
    return paragraph(text + "the same cells only.")


def _meanings(settings: dict[str, Any]) -> list[tuple[str, str]]:
    top = settings.get("top", 20)
    return [
        ("Pearson r", "correlation of predicted and observed effects over all pairs"),
        ("R²", "share of the observed variation explained; 0 or less is no better than a constant"),
        (f"top {top}", f"the same over the {top} genes of largest effect of each perturbation"),
        ("Jaccard", "shared part of the sets of strongest genes, predicted and observed; mean"),
        ("training mean", "predict for each perturbation what its training cells show"),
        ("global mean", "predict for every perturbation the mean effect in training"),
        ("ceiling", "one half of the training cells predicts the other: what noise allows"),
        ("predictive IWELBO", "lower bound of the log-probability of a test cell's counts"),
    ]


def effects_section(summary: dict[str, Any], effects: Effects) -> Section:
    """Show predicted against observed effects: all pairs, perturbations, strongest genes."""
    transform = main_transform(summary)
    found = seen(effects, transform)
    model = effects.model.get(transform)
    title = "Predicted and observed effects"
    if found is None or model is None or not len(effects.labels):
        return Section("effects", title, empty("There are no observed effects to compare with."))
    observed, cells = found
    unit = UNITS.get(transform, "")
    baseline = effects.train_mean.get(transform)
    pairs = _pairs_plot(model, baseline, observed, cells, unit)
    strongest = strongest_perturbations(effects, transform)
    rows = [_top_rows(effects, transform, observed, i) for i in strongest]
    genes = top_genes_plot(
        [row for row in rows if row[1]],
        f"{plural(len(rows), 'perturbation')} of largest effect over all cells, each with the "
        f"genes of largest effect there. Observed: {CELLS[cells].lower()}. The grey bar is the "
        "model's error.",
        f"effect, {unit}",
    )
    body = [
        figure_of(pairs)
        if pairs
        else empty("No pair has both a predicted and an observed effect."),
        element("h3", "The strongest genes") if genes else None,
        figure_of(genes, slice(0, _OPEN)) if genes else None,
        folded(
            f"{len(genes.panels) - _OPEN} more of the strongest perturbations",
            figure_of(genes, slice(_OPEN, None)),
        )
        if genes and len(genes.panels) > _OPEN
        else None,
        paragraph(genes.caption, class_="note") if genes else None,
    ]
    return Section("effects", title, joined(body), tuple(filter(None, (pairs, genes))))


def _pairs_plot(model, baseline, observed, cells: str, unit: str) -> Plot | None:
    pairs = [("Predicted: model", "model", model, observed)]
    if baseline is not None:
        pairs.append(("Predicted: training mean", "train_mean", baseline, observed))
    where = CELLS[cells].lower()
    caption = (
        f"All pairs of perturbation and gene, observed in {where}; the stronger the colour of a "
        "square, the more pairs (logarithmic), and on the diagonal a prediction is right."
    )
    plot = density_plot(pairs, caption, unit)
    if plot is None or baseline is None:
        return plot
    r_model, r_mean = row_correlations(model, observed), row_correlations(baseline, observed)
    panel = perturbations_panel(r_model, r_mean)
    if panel is None:
        return plot
    both = np.isfinite(r_model) & np.isfinite(r_mean)
    caption += (
        f" Last: one dot for each perturbation; the model is better above the line, in "
        f"{int((r_model > r_mean)[both].sum()):,} of {int(both.sum()):,}."
    )
    return plot._replace(panels=(*plot.panels, panel), caption=caption)


def row_correlations(predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return Pearson r of each row over the entries that both have, [C]; nan where undefined."""
    found = np.full(len(observed), np.nan)
    for i, (x, y) in enumerate(zip(predicted, observed, strict=True)):
        both = np.isfinite(x) & np.isfinite(y)
        if both.sum() > 2:
            x, y = np.float64(x[both]), np.float64(y[both])
            x, y = x - x.mean(), y - y.mean()
            scale = np.sqrt((x @ x) * (y @ y))
            found[i] = (x @ y) / scale if scale > 0 else np.nan
    return found


def strongest_perturbations(effects: Effects, transform: str, n: int = _SHOWN) -> list[int]:
    """Return the rows of the perturbations with the largest effects over all cells (Euclidean)."""
    values = effects.reference.get(transform)
    if values is None:
        values = seen(effects, transform)[0]
    size = np.array([np.sqrt(np.nansum(np.square(np.float64(row)))) for row in values])
    return [int(i) for i in np.argsort(-size, kind="stable")[:n] if size[i] > 0]


def _top_rows(effects: Effects, transform: str, observed: np.ndarray, row: int):
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
