"""The learned network: hubs, edges, probabilities, confirmation, and agreement with the truth."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gpo_vae_jax.evaluate.report.calibration_plot import calibration_parts
from gpo_vae_jax.evaluate.report.drawing import figure_of
from gpo_vae_jax.evaluate.report.edge_plots import matched_edges_plot, probabilities_plot
from gpo_vae_jax.evaluate.report.markup import Markup, element, joined, table
from gpo_vae_jax.evaluate.report.metric_plots import known_networks_plot
from gpo_vae_jax.evaluate.report.network_plot import hub_edges, network_plot
from gpo_vae_jax.evaluate.report.network_tables import (
    confirmation_table,
    edges_table,
    regulators_table,
)
from gpo_vae_jax.evaluate.report.overview import CONFIRMED
from gpo_vae_jax.evaluate.report.section import Section, empty, paragraph
from gpo_vae_jax.evaluate.report.wording import NOTHING, count, dig, name, number, plural, real
from gpo_vae_jax.evaluate.results import Evaluation

_AGREEMENT_COLUMNS = {
    "known edges": ("n_known", count),
    "possible edges": ("n_possible", count),
    "called edges": ("n_called", count),
    "shared edges": ("n_shared", count),
    "precision": ("precision", number),
    "random precision": ("random_precision", number),
    "recall": ("recall", number),
    "AUPRC": ("auprc", number),
    "random AUPRC": ("random_auprc", number),
    "AUROC": ("auroc", number),
}


def network_section(evaluation: Evaluation) -> Section:
    """Return the network and how well test cells confirm it."""
    summary = evaluation.summary
    threshold = real(dig(summary, "settings", "threshold"))
    threshold = 0.5 if threshold is None else threshold
    probabilities = probabilities_plot(
        evaluation.probabilities,
        evaluation.n_perturbed,
        threshold,
        "Pairs of a perturbed gene and another gene, by the probability of an edge. The vertical "
        "axis is logarithmic.",
    )
    drawing = network_plot(evaluation.edges, _caption(evaluation.edges, threshold))
    matched = matched_edges_plot(
        evaluation.curve,
        "Networks of different size can only be compared at equal numbers of edges: the mean "
        "distance and the share of confirmed edges fall as less probable edges are included.",
    )
    histogram = figure_of(probabilities) if probabilities else empty("There are no pairs of genes.")
    no_edge = empty(f"No edge above {threshold:g}, and no pair to draw instead.")
    left = [
        element("h3", "Edge probabilities"),
        histogram,
        figure_of(matched) if matched else empty("There is no curve at equal numbers of edges."),
    ]
    right = [
        element("h3", "Confirmation on test cells"),
        paragraph(f"An edge is confirmed where {CONFIRMED}"),
        confirmation_table(summary.get("network") or {}),
    ]
    body = [
        paragraph(
            "An edge from one gene to another means that perturbing the first changes the second. "
            "The model learns a probability for every pair."
        ),
        element("h3", "Around its hubs"),
        figure_of(drawing) if drawing else no_edge,
        element(
            "div",
            regulators_table(evaluation.regulators, threshold),
            edges_table(evaluation.edges, threshold),
            class_="pair",
        ),
        element("div", element("div", *left), element("div", *right), class_="pair"),
    ]
    plots = tuple(filter(None, (drawing, probabilities, matched)))
    return Section("network", "The network", joined(body), plots)


def agreement_section(summary: dict[str, Any]) -> Section:
    """Return the agreement with known networks and with the truth of simulated data."""
    known, truth = summary.get("known_networks") or {}, summary.get("truth") or {}
    plot = known_networks_plot(
        known,
        "Share of the called edges between perturbed genes that a known network has as well, "
        "beside that of random pairs.",
    )
    rows = [
        [name(key), *(show(dig(found, column)) for column, show in _AGREEMENT_COLUMNS.values())]
        for key, found in known.items()
    ]
    no_known = [
        "No known network was compared with; add one by ",
        element("code", "--networks\N{NO-BREAK SPACE}NAME=FILE"),
        ". ",
        ""
        if truth
        else "The true network is not known either: nothing here tells which edges are correct.",
    ]
    calibration, reliability = calibration_parts(summary)
    both = [element("div", figure_of(plot)) if plot else None]
    both += [element("div", part) for part in _truth(truth)] if truth else []
    body = [
        paragraph(
            "Which edges are correct, as far as other sources tell. This is a stricter question "
            "than confirmation on test cells, which indirect effects pass as well."
        ),
        table("Known networks", ["network", *_AGREEMENT_COLUMNS], rows) if rows else None,
        paragraph(no_known, class_="note") if not rows else None,
        element("div", both, class_="pair") if any(both) else None,
        *calibration,
    ]
    title = "Agreement with other sources"
    plots = tuple(filter(None, (plot, reliability)))
    return Section("agreement", title, joined(body), plots)


def _caption(edges: pd.DataFrame, threshold: float) -> str:
    chosen = hub_edges(edges)
    if len(chosen) == 0:
        return ""
    called = int(chosen["above_threshold"].sum())
    text = f"The {plural(len(chosen), 'most probable edge')} of the regulators with most edges. "
    if not called:
        text = f"No edge above {threshold:g}: dashed are the most probable pairs below it. "
    return text + (
        "Arrows run from regulator to target; the stronger, the more probable. Filled: perturbed "
        "genes. Dashed outline: genes not perturbed in the data. Bold: regulators of several genes."
    )


def _truth(truth: dict[str, Any]) -> list[Markup]:
    """Return the tables of a simulation: the ranking of all pairs, and the called edges."""
    possible = f"{count(truth.get('n_true'))} of {count(truth.get('n_possible'))}"
    ranking = [
        ["true edges, of possible edges", possible if truth.get("n_true") else NOTHING],
        ["AUPRC", number(truth.get("auprc"))],
        ["AUPRC of a random ranking", number(truth.get("random_auprc"))],
        ["AUROC", number(truth.get("auroc"))],
        ["true latents explained (R² of a regression)", number(truth.get("linear_score"))],
        ["mean |r| with the true latents", number(truth.get("mean_correlation"))],
    ]
    masks = ("mask", "matched_mask")
    called = [
        [label, *(number(dig(truth, mask, key)) for mask in masks)]
        for key, label in (("precision", "precision"), ("recall", "recall"), ("f1", "F1"))
    ]
    note = (
        "Precision: share of the called edges that are true. Recall: share of the true edges that "
        "are called. Matched: latents are first matched one to one to the true latents."
    )
    tables = (
        ("True network: ranking of all pairs", ["statistic", "value"], ranking, None),
        ("True network: called edges", ["statistic", "as learned", "matched"], called, note),
    )
    drawn = []
    for title, header, rows, below in tables:
        shown = [row for row in rows if any(value != NOTHING for value in row[1:])]
        if shown:
            drawn.append(table(title, header, shown, note=below))
    return drawn
