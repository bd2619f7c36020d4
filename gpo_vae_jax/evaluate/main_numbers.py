"""The main numbers of a summary as data frames, and which prediction is best, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from gpo_vae_jax.evaluate.effect_sources import (
    CELLS,
    OF_MODEL,
    PREDICTIONS,
    SOURCES,
    UNSEEN,
    UNSEEN_SOURCES,
)
from gpo_vae_jax.evaluate.metrics import best_of, describe, direction, find, metric
from gpo_vae_jax.evaluate.summary_numbers import numbers

MAIN_PATHS = (  # of single numbers, in the order they are shown; effects come before them
    "predictive_iwelbo.mean",
    "run.best_loss",
    "quality.observed.3",
    "quality.reference.3",
    "network.n_edges",
    "network.n_edges_block",
    "network.block.edges.true_positive_share",
    "network.block.edges.mean_wasserstein",
    "network.block.false_omission_rate",
    "network.all.edges.true_positive_share",
    "network.all.edges.mean_wasserstein",
    "network.all.false_omission_rate",
    "known_networks.union.precision",
    "known_networks.union.auprc",
    "truth.auprc",
    "truth.auroc",
    "truth.mask.f1",
    "calibration.n_called",
    "calibration.stated_precision",
    "calibration.truth.precision",
    "calibration.truth.recall",
)
_OF_UNSEEN = ("pearson", "pearson_others", "rank", "de_overlap")
_COLUMNS = ["metric", "label", "cells", "source", "value", "better"]
_ON_TEST_CELLS = ("predictive_iwelbo", "network.block", "network.all")
_EVEN = 0.005  # correlations closer than this are called equal


def main_table(summary: Mapping[str, Any]) -> pd.DataFrame:
    """Return the main numbers, one a row: metric, label, cells, source, value, better."""
    rows: list[list[Any]] = []
    for cells, title in CELLS.items():
        for name, values in effects_on(summary, cells).items():
            row = metric(name)
            rows += [
                [name, row.label, title, SOURCES[source], value, direction(row)]
                for source, value in values.items()
            ]
    rows += _unseen_rows(summary.get("unseen") or {})
    found = numbers(dict(summary))
    for path in MAIN_PATHS:
        row = find(path)
        if path in found and row is not None:
            cells = "test cells" if path.startswith(_ON_TEST_CELLS) else ""
            rows.append([path, describe(path), cells, "model", found[path], direction(row)])
    return pd.DataFrame(rows, columns=_COLUMNS)


def _unseen_rows(unseen: Mapping[str, Any]) -> list[list[Any]]:
    """Return rows of `main_table` about perturbations without training cells."""
    return [
        [name, metric(name).label, UNSEEN[kind][1], title, _value(scores[source], name),
         direction(metric(name))]
        for kind, scores in unseen.items()
        for name in _OF_UNSEEN
        for source, title in UNSEEN_SOURCES.items()
        if source in scores
    ]  # fmt: skip


def _value(scores: Mapping[str, Any], name: str) -> float:
    value = scores.get(name)
    return math.nan if value is None else float(value)


def effect_rows(summary: Mapping[str, Any], cells: str = "held_out") -> pd.DataFrame:
    """Return the metrics of effects on some cells: a row for each metric, a column by source."""
    found = effects_on(summary, cells)
    return pd.DataFrame(
        [[values[source] for source in SOURCES] for values in found.values()],
        index=[metric(name).label for name in found],
        columns=list(SOURCES.values()),
        dtype=float,
    )


def verdict_on_effects(summary: Mapping[str, Any]) -> str:
    """Return in words whether the model or the best baseline predicts effects better.

    Pearson r on test cells decides; a difference below 0.005 counts as none. Empty where r is not
    known.
    """
    values = effects_on(summary, "held_out").get("pearson") or {}
    r = {key: values[key] for key in PREDICTIONS if math.isfinite(values.get(key, math.nan))}
    if "model" not in r:
        return ""
    others = {key: value for key, value in r.items() if key not in OF_MODEL}
    if not others:
        return f"the model predicts effects on test cells at r {r['model']:.3f}"
    best = best_of("pearson", others)[0]
    baseline, ahead = SOURCES[best], r["model"] - others[best]
    if abs(ahead) < _EVEN:
        return (
            f"the model and the {baseline} predict effects on test cells equally well "
            f"(r {r['model']:.3f} and {others[best]:.3f})"
        )
    first, second = ("model", baseline) if ahead > 0 else (baseline, "model")
    high, low = max(r["model"], others[best]), min(r["model"], others[best])
    return (
        f"the {first} predicts effects on test cells better than the {second} "
        f"(r {high:.3f} against {low:.3f})"
    )


def effects_on(summary: Mapping[str, Any], cells: str) -> dict[str, dict[str, float]]:
    """Return the metrics of effects (`perturbseq`) on some cells: values by metric, then by source.

    Args:
      summary: of an evaluation.
      cells: "held_out" (test cells) or "reference" (all cells).

    Returns:
      A float for each of `effect_sources.SOURCES`; nan where it is not known.
    """
    by_source = ((summary.get("effects") or {}).get("perturbseq") or {}).get(cells) or {}
    found = {}
    for name in dict.fromkeys(name for values in by_source.values() for name in values or {}):
        values = {source: (by_source.get(source) or {}).get(name) for source in SOURCES}
        found[name] = {k: math.nan if v is None else float(v) for k, v in values.items()}
    return found


def calls_in_words(summary: Mapping[str, Any]) -> str:
    """Return how many edges are called at the expected FDR, what they promise, and what holds.

    Empty where no edge was judged.
    """
    found = summary.get("calibration")
    n = _finite(found, "n_called")
    if n is None:
        return ""
    fdr, stated = _finite(summary.get("settings"), "fdr"), _finite(found, "stated_precision")
    rate = "" if fdr is None else f" of {fdr:g}"
    if not n or stated is None:
        return f"No edge can be called at an expected false discovery rate{rate}."
    text = (
        f"{n:,.0f} edge{'s' if n > 1 else ''} of perturbed genes called at an expected false "
        f"discovery rate{rate}: {stated:.0%} of them are expected to be right."
    )
    precision, recall = (_finite(found, "truth", key) for key in ("precision", "recall"))
    if precision is not None:
        text += f" The true network contains {precision:.0%} of them"
        text += "." if recall is None else f", and {recall:.0%} of its edges are among them."
    precision = _finite(found, "known_networks", "precision")
    if precision is not None:
        text += (
            f" Known networks have {precision:.0%} of them, a lower bound because they are "
            "incomplete."
        )
    if isinstance(found, Mapping) and found.get("stated_by") == "probability":
        text += (
            " The model's effects have no unit, so these are its own probabilities, which are not "
            "calibrated."
        )
    return text


def _finite(found: Any, *keys: str) -> float | None:
    """Return a finite number of a nested mapping, None where there is none."""
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    number = isinstance(found, (int, float)) and math.isfinite(found)
    return float(found) if number else None
