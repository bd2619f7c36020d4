"""How well effects are predicted: every metric beside the baselines."""

from __future__ import annotations

from typing import Any

from gpo_vae_jax.evaluate.effect_sources import CELLS, PREDICTIONS, SOURCES, TRANSFORMS
from gpo_vae_jax.evaluate.metrics import best_of, direction
from gpo_vae_jax.evaluate.report.drawing import figure_of
from gpo_vae_jax.evaluate.report.markup import (
    Markup,
    definitions,
    element,
    folded,
    folded_on_phones,
    joined,
    table,
)
from gpo_vae_jax.evaluate.report.metric_plots import effect_metrics, metrics_plot
from gpo_vae_jax.evaluate.report.section import Section, empty, main_transform, paragraph
from gpo_vae_jax.evaluate.report.wording import count, dig, number, real

_PREDICTORS = {
    "network": "The model: control cells, with their latents, library sizes and quality, decoded "
    "under the perturbation. The network makes all of the effect.",
    "network, own depth": "The same for control cells weighted so that their library sizes are "
    "distributed like those of the perturbation's training cells.",
    "own cells": "The model: the perturbation's own training cells, decoded from their own "
    "latents, which may carry effect past the network.",
    "fixed library": "The published protocol: sampled cells of one library size, latents from the "
    "prior.",
    "shrunk mean": "The training mean shrunk towards 0 by a prior of small and large effects, "
    "fitted by expectation maximisation.",
    "training mean": "Predicts for each perturbation the mean effect of its own training cells.",
    "global mean": "Predicts for every perturbation the mean effect of all perturbations.",
    "half vs half": "One half of the training cells predicts the other half: the noise of the data "
    "leaves about this much possible. Not a prediction of test cells, so never marked as best.",
}


def metrics_section(summary: dict[str, Any]) -> Section:
    """Return the metrics of effects beside the baselines, and the predictive bound."""
    effects = summary.get("effects") or {}
    main = main_transform(summary)
    by_cells = effects.get(main) or {}
    plot = metrics_plot(
        by_cells,
        "Test cells were held out of training. Published figures are computed on all cells, "
        "training cells included.",
    )
    body = [
        paragraph(
            "An effect is the mean over perturbed cells minus the mean over control cells, for "
            f"each gene, of {TRANSFORMS.get(main, main)}. The baselines need no model."
        ),
        figure_of(plot) if plot else empty("No metric of effects could be computed."),
        _tables(by_cells),
        [
            folded(f"The same for {TRANSFORMS.get(key, key)}", _tables(effects[key] or {}))
            for key in effects
            if key != main
        ],
        _iwelbo(summary.get("predictive_iwelbo") or {}),
        element("h3", "What the numbers mean"),
        folded_on_phones(
            "Show definitions", definitions(_meanings(by_cells, summary.get("settings") or {}))
        ),
    ]
    return Section("metrics", "Prediction against baselines", joined(body), (plot,) if plot else ())


def _tables(by_cells: dict[str, Any]) -> Markup:
    drawn = []
    for cells, title in CELLS.items():
        scores = by_cells.get(cells) or {}
        who = [key for key in SOURCES if key in scores]
        rows = [
            [_label(row), *_values(row, scores, who)]
            for row in effect_metrics({cells: scores})
            if any(real(dig(scores, key, row.name)) is not None for key in who)
        ]
        if rows:
            header = ["metric", *(SOURCES[key] for key in who)]
            note = "Bold: the best prediction."
            drawn.append(table(title.capitalize(), header, rows, note=note))
    return element("div", [element("div", one) for one in drawn], class_="pair")


def _label(row) -> object:
    """Return a metric's label, and its direction where lower is better."""
    if direction(row) != "lower":
        return row.label
    return [row.label, " ", element("span", "(lower is better)", class_="aside")]


def _values(row, scores: dict[str, Any], who: list[str]) -> list[object]:
    """Return the values of a metric, the best prediction in bold."""
    values = {key: real(dig(scores, key, row.name)) for key in who}
    best = best_of(row, {key: values[key] for key in who if key in PREDICTIONS})
    return [
        element("span", number(value), class_="best") if key in best else number(value)
        for key, value in values.items()
    ]


def _iwelbo(found: dict[str, Any]) -> Markup:
    mean, error = real(found.get("mean")), real(found.get("standard_error"))
    if mean is None:
        return empty("The predictive IWELBO was not computed.")
    text = f"Predictive IWELBO: {number(mean, 2)}"
    text += f" ± {number(error, 2)} (standard error)" if error is not None else ""
    text += f" nats per cell, over {count(found.get('n_cells'))} test cells with "
    text += f"{count(found.get('n_particles'))} particles. Higher is better; compare models on "
    return paragraph(text + "the same test cells only.")


def _meanings(by_cells: dict[str, Any], settings: dict[str, Any]) -> list[tuple[str, str]]:
    metrics = [(row.label, row.about) for row in effect_metrics(by_cells) if row.about]
    top = real(settings.get("top"))
    if top is not None and any("top genes" in label for label, _ in metrics):
        metrics.append(("top genes", f"The {count(top)} genes of largest observed effect."))
    bound = ("Predictive IWELBO", "A lower bound of the log-probability of a test cell's counts.")
    return [*metrics, *_PREDICTORS.items(), bound]
