"""The learned network: probabilities, hubs, edges, and how they are confirmed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gpo_vae_jax.evaluate.report.drawing import figure_of
from gpo_vae_jax.evaluate.report.edge_plots import matched_edges_plot, probabilities_plot
from gpo_vae_jax.evaluate.report.markup import Markup, element, folded, joined, table
from gpo_vae_jax.evaluate.report.metric_plots import known_networks_plot
from gpo_vae_jax.evaluate.report.network_plot import hub_edges, network_plot
from gpo_vae_jax.evaluate.report.section import Section, empty, paragraph
from gpo_vae_jax.evaluate.report.wording import (
    NOTHING,
    cell,
    count,
    dig,
    name,
    number,
    plural,
    ratio,
    real,
    share,
    words,
)
from gpo_vae_jax.evaluate.results import Evaluation

_EDGES, _REGULATORS, _COLUMNS = 20, 15, 9
_HIDDEN = {"rank", "source_perturbed", "target_perturbed"}


def network_section(evaluation: Evaluation) -> Section:
    """Show the network and how well test cells confirm it."""
    summary = evaluation.summary
    threshold = real(dig(summary, "settings", "threshold"))
    threshold = 0.5 if threshold is None else threshold
    probabilities = probabilities_plot(
        evaluation.probabilities,
        evaluation.n_perturbed,
        threshold,
        "Pairs of a perturbed gene and another gene, by the probability of an edge; the vertical "
        "axis is logarithmic.",
    )
    drawing = network_plot(evaluation.edges, _caption(evaluation.edges, threshold))
    matched = matched_edges_plot(
        evaluation.curve,
        "Networks of different size compare only at equal numbers of edges: mean distance and "
        "share of true positives fall as more edges are taken.",
    )
    sure = figure_of(probabilities) if probabilities else empty("There are no pairs of genes.")
    body = [
        paragraph(
            "An edge from one gene to another says that perturbing the first changes the second. "
            "The model learns a probability for every pair."
        ),
        element("h3", "Around its hubs"),
        figure_of(drawing) if drawing else empty("There is no edge to draw."),
        element("div", _regulators(evaluation.regulators), _edges(evaluation.edges), class_="pair"),
        element(
            "div",
            element("div", element("h3", "How sure the edges are"), sure),
            element(
                "div",
                element("h3", "Confirmation on test cells"),
                _statistics(summary.get("network") or {}),
            ),
            class_="pair",
        ),
        figure_of(matched) if matched else empty("No curve at matched numbers of edges."),
    ]
    plots = tuple(filter(None, (drawing, probabilities, matched)))
    return Section("network", "The network", joined(body), plots)


def agreement_section(summary: dict[str, Any]) -> Section:
    """Show agreement with known networks and with the truth of simulated data."""
    known, truth = summary.get("known_networks") or {}, summary.get("truth") or {}
    plot = known_networks_plot(
        known,
        "Share of the called edges between perturbed genes that a known network holds as well, and "
        "of all possible pairs.",
    )
    columns = {
        "known edges": ("n_known", count),
        "possible": ("n_possible", count),
        "called": ("n_called", count),
        "shared": ("n_shared", count),
        "precision": ("precision", number),
        "random": ("random_precision", number),
        "recall": ("recall", number),
        "AUPRC": ("auprc", number),
        "random AUPRC": ("random_auprc", number),
        "AUROC": ("auroc", number),
    }
    rows = [
        [name(key), *(show(dig(found, column)) for column, show in columns.values())]
        for key, found in known.items()
    ]
    body = [
        table("Known networks", ["network", *columns], rows)
        if rows
        else empty("No known network was compared with."),
        element(
            "div",
            figure_of(plot) if plot else None,
            element("div", _truth(truth)) if truth else None,
            class_="pair",
        ),
    ]
    return Section("agreement", "Agreement", joined(body), (plot,) if plot else ())


def _caption(edges: pd.DataFrame, threshold: float) -> str:
    chosen = hub_edges(edges)
    if len(chosen) == 0:
        return ""
    called = int(chosen["above_threshold"].sum())
    text = f"The {plural(len(chosen), 'most probable edge')} of the regulators with most edges. "
    if not called:
        text = f"No edge passes {threshold:g}: dashed are the most probable pairs below it. "
    return text + (
        "An arrow runs from regulator to target, the stronger the more probable. Rounded and "
        "filled: perturbed genes; dashed: genes that the data does not perturb; bold: regulators."
    )


def _regulators(regulators: pd.DataFrame) -> Markup:
    return _frame("Top regulators", regulators.head(_REGULATORS), "No regulator has an edge.")


def _edges(edges: pd.DataFrame) -> Markup:
    shown = edges.head(_EDGES)
    called, hidden = shown["above_threshold"].astype(bool), set(_HIDDEN)
    if called.nunique() < 2:
        hidden.add("above_threshold")
    caption = "Most probable edges" if called.any() else "Most probable pairs, below the threshold"
    columns = [column for column in shown.columns if column not in hidden]
    return _frame(caption, shown[columns], "There is no edge to list.")


def _frame(caption: str, frame: pd.DataFrame, otherwise: str) -> Markup:
    """Return a table of any data frame: text to the left, numbers to the right."""
    if len(frame) == 0 or not len(frame.columns):
        return element("div", paragraph(element("strong", caption)), empty(otherwise))
    frame = frame.iloc[:, :_COLUMNS]
    numeric = [pd.api.types.is_numeric_dtype(frame[column]) for column in frame.columns]
    numeric = [
        is_number and not pd.api.types.is_bool_dtype(frame[column])
        for is_number, column in zip(numeric, frame.columns, strict=True)
    ]
    shown = [_column(frame[column]) for column in frame.columns]
    rows = list(zip(*shown, strict=True))
    header = [words(str(column)) for column in frame.columns]
    align = "l" + "".join("r" if is_number else "l" for is_number in numeric[1:])
    return element("div", table(caption, header, rows, align=align))


def _column(values: pd.Series) -> list[str]:
    """Return a column as text, all its numbers with the same digits."""
    if pd.api.types.is_float_dtype(values):
        finite = values[np.isfinite(values)]
        whole = len(finite) > 0 and bool((finite == finite.round()).all()) and finite.max() > 1
        return [count(value) if whole else number(value) for value in values]
    return [cell(value) for value in values]


def _statistics(network: dict[str, Any]) -> Markup:
    """Return one row for each statistic, of the perturbed block and of all measured targets."""
    sets = ("block", "all")
    rows = []

    def add(label: object, values: list[object]) -> None:
        if any(value != NOTHING for value in values):
            rows.append([label, *values])

    add("edges", [count(dig(network, which, "edges", "n")) for which in sets])
    add("that test cells can judge", [count(dig(network, w, "edges", "n_evaluable")) for w in sets])
    add("mean Wasserstein", [number(dig(network, w, "edges", "mean_wasserstein")) for w in sets])
    add("true positives", [_confirmed(dig(network, w, "edges"), "n_evaluable") for w in sets])
    add("false positives", [count(dig(network, w, "edges", "false_positives")) for w in sets])
    paths = {which: _paths(dig(network, which, "paths")) for which in sets}
    for length in sorted({length for found in paths.values() for length in found}):
        found = [paths[which].get(length) or {} for which in sets]
        add(f"pairs at distance {length}", [count(path.get("n")) for path in found])
        add(_sub("mean Wasserstein"), [number(path.get("mean_wasserstein")) for path in found])
        add(_sub("true positives"), [_confirmed(path, "n") for path in found])
    add("false omission rate", [number(dig(network, w, "false_omission_rate")) for w in sets])
    add("pairs behind it", [count(dig(network, which, "n_omission_pairs")) for which in sets])
    if not rows:
        return empty("There are no statistics of the network.")
    header = ["statistic", "among perturbed genes", "all measured targets"]
    note = (
        "An edge is a true positive where the target's expression differs between control cells "
        "and those with the source perturbed (Mann-Whitney U, two-sided). The false omission rate "
        "is the share of pairs without a path in the network that differ as well."
    )
    return joined([table("The network on test cells", header, rows, note=note), _further(network)])


def _further(network: dict[str, Any]) -> Markup | None:
    """Return the figures as upstream computes them, and shares of probabilities, folded away."""
    upstream, shares = network.get("upstream") or {}, network.get("shares") or {}
    rows = []
    if upstream.get("false_omission_rate") is not None:
        rows.append(["false omission rate", number(upstream["false_omission_rate"])])
    for length, path in _paths(upstream.get("paths")).items():
        rows.append([f"pairs at distance {length}", count(path.get("n"))])
        rows.append([_sub("mean Wasserstein"), number(path.get("mean_wasserstein"))])
        rows.append([_sub("true positives"), _confirmed(path, "n")])
    rows += [
        [f"share of probabilities: {words(key)}", cell(value)] for key, value in shares.items()
    ]
    if not rows:
        return None
    note = (
        "For comparison with published figures: the original's omission rate does not leave out "
        "predicted edges, and its longer paths count one gene too many."
    )
    shown = table("As the original computes them", ["statistic", "value"], rows, note=note)
    return folded("Figures as the original computes them", shown)


def _sub(label: str) -> Markup:
    return element("span", label, class_="sub")


def _paths(paths: Any) -> dict[int, dict[str, Any]]:
    return {int(path["length"]): path for path in paths or [] if path.get("length") is not None}


def _confirmed(found: Any, whole: str) -> str:
    """Return true positives with their share."""
    positives = dig(found, "true_positives")
    part = ratio(positives, dig(found, whole))
    return count(positives) if part is None else f"{count(positives)} ({share(part)})"


def _truth(truth: dict[str, Any]) -> Markup:
    rows = [
        [
            "true edges, of possible ones",
            f"{count(truth.get('n_true'))} of {count(truth.get('n_possible'))}",
        ],
        ["AUPRC of the ranking", number(truth.get("auprc"))],
        ["AUPRC of a random ranking", number(truth.get("random_auprc"))],
        ["AUROC", number(truth.get("auroc"))],
    ]
    for key, label in (("mask", "called edges"), ("matched_mask", "best matching of columns")):
        for metric in ("precision", "recall", "f1"):
            rows.append([f"{metric.replace('f1', 'F1')}, {label}", number(dig(truth, key, metric))])
    rows.append(["true latents explained (linear score)", number(truth.get("linear_score"))])
    rows.append(["mean |correlation| with true latents", number(truth.get("mean_correlation"))])
    rows = [row for row in rows if row[1] != NOTHING]
    return table("Simulated data: the truth is known", ["statistic", "value"], rows)
