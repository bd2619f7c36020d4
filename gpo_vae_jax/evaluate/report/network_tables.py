"""Tables of the network: its regulators, its edges, and how test cells confirm it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from gpo_vae_jax.evaluate.report.markup import Markup, element, folded, joined, table
from gpo_vae_jax.evaluate.report.section import empty, paragraph
from gpo_vae_jax.evaluate.report.wording import (
    NOTHING,
    cell,
    count,
    dig,
    name,
    number,
    ratio,
    share,
    words,
)

_EDGES, _REGULATORS, _COLUMNS = 20, 15, 9
_LONGEST = 24  # letters of a name in a table
_SETS = {"block": "between perturbed genes", "all": "to all measured genes"}
_REGULATOR_COLUMNS = {
    "gene": "regulator",
    "n_targets": "targets",
    "expected_targets": "probability sum",
    "strongest_target": "strongest target",
}


def regulators_table(regulators: pd.DataFrame, threshold: float) -> Markup:
    """Return the regulators with most targets."""
    if not {"gene", "n_targets"} <= set(regulators.columns):
        shown, note = regulators.head(_REGULATORS), None
        return frame_table("Top regulators", shown, "No regulator has an edge.", note)
    shown = regulators.head(_REGULATORS)
    called = bool((shown["n_targets"] > 0).any())
    columns: dict[str, Any] = {
        title: shown[column]
        for column, title in _REGULATOR_COLUMNS.items()
        if column in shown.columns
    }
    if {"strongest_target", "strongest_probability"} <= set(shown.columns):
        strongest = [
            element("span", f"{name(target, _LONGEST)} ({number(probability, 2)})", class_="whole")
            if probability
            else NOTHING
            for target, probability in zip(
                shown["strongest_target"], shown["strongest_probability"], strict=True
            )
        ]
        columns["strongest target"] = pd.Series(strongest, shown.index, dtype=object)
    perturbed = shown["perturbed"] if "perturbed" in shown.columns else [True] * len(shown)
    columns["regulator"] = [
        name(gene, _LONGEST) + ("" if own else " *")
        for gene, own in zip(shown["gene"], perturbed, strict=True)
    ]
    title = "Top regulators" if called else "Regulators by probability sum"
    note = (
        f"Targets: genes with an edge from the regulator, of a probability above {threshold:g}. "
        "Probability sum: over all other genes, those below the threshold included. It is the "
        "number of targets to expect if the probabilities are right, and far larger than the "
        "number of targets where many pairs lie just below the threshold."
    )
    note += "" if all(perturbed) else " *: not perturbed in the data."
    return frame_table(title, pd.DataFrame(columns), "No regulator has an edge.", note)


def edges_table(edges: pd.DataFrame, threshold: float) -> Markup:
    """Return the most probable edges, with the known networks that have them."""
    shown = edges.head(_EDGES)
    if not len(shown):
        return frame_table("Most probable edges", shown, "There is no edge to list.", None)
    called = shown["above_threshold"].astype(bool)
    columns: dict[str, Any] = {
        end: [name(gene, _LONGEST) for gene in shown[end]] for end in ("source", "target")
    }
    columns["probability"] = shown["probability"]
    if called.nunique() > 1:
        columns[f"above {threshold:g}"] = called
    known = [key.removeprefix("known_") for key in shown.columns if key.startswith("known_")]
    single = [network for network in known if network != "union"]
    if single:
        columns["known in"] = [_known_in(row, single) for row in shown.to_dict("records")]
    title = (
        "Most probable edges" if called.any() else "Most probable pairs, all below the threshold"
    )
    return frame_table(title, pd.DataFrame(columns), "", None)


def _known_in(row: dict[Any, Any], known: list[str]) -> str:
    """Return the known networks that have an edge, with its sign where they state it."""
    found = []
    for network in known:
        if row[f"known_{network}"]:
            sign = row.get(f"sign_{network}") or ""
            found.append(f"{name(network)} ({sign})" if sign else name(network))
    return ", ".join(found) or NOTHING


def frame_table(caption: str, frame: pd.DataFrame, otherwise: str, note: object) -> Markup:
    """Return a table of any data frame: text to the left, numbers to the right."""
    if len(frame) == 0 or not len(frame.columns):
        return element("div", paragraph(element("strong", caption)), empty(otherwise))
    frame = frame.iloc[:, :_COLUMNS]
    shown = [_column(frame[column]) for column in frame.columns]
    header = [words(str(column)) for column in frame.columns]
    sides = ["r" if _is_number(frame[column]) else "l" for column in frame.columns]
    rows = list(zip(*shown, strict=True))
    return element("div", table(caption, header, rows, align="l" + "".join(sides[1:]), note=note))


def _is_number(values: pd.Series) -> bool:
    is_bool = pd.api.types.is_bool_dtype(values)
    return pd.api.types.is_numeric_dtype(values) and not is_bool


def _column(values: pd.Series) -> list[str]:
    """Return a column as text, all its numbers with the same digits."""
    if pd.api.types.is_float_dtype(values):
        finite = values[np.isfinite(values)]
        whole = len(finite) > 0 and bool((finite == finite.round()).all()) and finite.max() > 1
        digits = 1 if len(finite) and finite.abs().max() >= 10 else 3
        return [count(value) if whole else number(value, digits) for value in values]
    return [value if isinstance(value, Markup) else cell(value) for value in values]


def confirmation_table(network: dict[str, Any]) -> Markup:
    """Return what test cells say of the edges, and of longer paths."""
    rows: list[list[object]] = []

    def add(label: object, show: Callable[[str], str]) -> None:
        values = [show(which) for which in _SETS]
        if any(value != NOTHING for value in values):
            rows.append([label, *values])

    def edge(which: str) -> Any:
        return dig(network, which, "edges")

    add("edges", lambda which: count(dig(edge(which), "n")))
    add("edges that test cells can judge", lambda which: count(dig(edge(which), "n_evaluable")))
    add("confirmed: the target differs", lambda which: _confirmed(edge(which), "n_evaluable"))
    add("not confirmed", lambda which: count(dig(edge(which), "false_positives")))
    add("mean Wasserstein distance", lambda which: number(dig(edge(which), "mean_wasserstein")))
    paths = {which: _paths(dig(network, which, "paths")) for which in _SETS}
    for length in sorted({length for found in paths.values() for length in found}):
        found = {which: paths[which].get(length) or {} for which in _SETS}
        add(f"pairs {length} edges apart", lambda which, f=found: count(f[which].get("n")))
        add(_sub("confirmed"), lambda which, f=found: _confirmed(f[which], _tested(f[which])))
        add(
            _sub("mean Wasserstein distance"),
            lambda which, f=found: number(f[which].get("mean_wasserstein")),
        )
    add("false omission rate", lambda which: number(dig(network, which, "false_omission_rate")))
    add(_sub("over pairs"), lambda which: count(dig(network, which, "n_omission_pairs")))
    if not rows:
        return empty("There are no statistics of the network.")
    note = (
        "Tests: Mann-Whitney U, two-sided. Distances are those of the target's expression between "
        "perturbed and control cells. The false omission rate is the share of pairs without a path "
        "in the network whose target differs all the same: lower is better."
    )
    shown = table("The network on test cells", ["", *_SETS.values()], rows, note=note)
    return joined([shown, _as_upstream(network)])


def _as_upstream(network: dict[str, Any]) -> Markup | None:
    """Return the figures of the original implementation, folded away."""
    upstream, shares = network.get("upstream") or {}, network.get("shares") or {}
    rows: list[list[object]] = []
    if upstream.get("false_omission_rate") is not None:
        rows.append(["false omission rate", number(upstream["false_omission_rate"])])
    for length, path in _paths(upstream.get("paths")).items():
        rows.append([f"pairs {length} edges apart", count(path.get("n"))])
        rows.append([_sub("confirmed"), _confirmed(path, _tested(path))])
        rows.append([_sub("mean Wasserstein distance"), number(path.get("mean_wasserstein"))])
    for key, value in shares.items():
        rows.append([_share_label(str(key)), cell(value)])
    if not rows:
        return None
    note = (
        "For comparison with published figures. The original's omission rate includes predicted "
        "edges, and its longer paths count one gene too many."
    )
    title = "As the original computes them"
    return folded(title, table(title, ["statistic", "value"], rows, note=note))


def _share_label(key: str) -> str:
    """Return what a share of probabilities is of: `ge_0.5` are those of at least 0.5."""
    which, _, bound = key.partition("_")
    text = {"ge": "at least", "le": "at most"}.get(which)
    return f"share of probabilities {text} {bound}" if text else words(key)


def _sub(label: str) -> Markup:
    return element("span", label, class_="sub")


def _paths(paths: Any) -> dict[int, dict[str, Any]]:
    return {int(path["length"]): path for path in paths or [] if path.get("length") is not None}


def _tested(path: dict[str, Any]) -> str:
    return "n_evaluable" if "n_evaluable" in path else "n"


def _confirmed(found: Any, whole: str) -> str:
    """Return the number of confirmed pairs with their share."""
    positives = dig(found, "true_positives")
    part = ratio(positives, dig(found, whole))
    return count(positives) if part is None else f"{count(positives)} ({share(part)})"
