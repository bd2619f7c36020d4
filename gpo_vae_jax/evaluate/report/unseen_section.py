"""Perturbations that training has not seen: is there skill, and beside which baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from gpo_vae_jax.evaluate.effect_sources import UNSEEN, UNSEEN_PREDICTIONS, UNSEEN_SOURCES
from gpo_vae_jax.evaluate.effects.effect_table import OTHERS
from gpo_vae_jax.evaluate.metrics import best_of, direction, metric
from gpo_vae_jax.evaluate.report.drawing import Plot, figure_of
from gpo_vae_jax.evaluate.report.look import UNSEEN_MARKS
from gpo_vae_jax.evaluate.report.markup import (
    Markup,
    definitions,
    element,
    folded_on_phones,
    joined,
    table,
)
from gpo_vae_jax.evaluate.report.metric_plots import Row, dots
from gpo_vae_jax.evaluate.report.section import Section, paragraph
from gpo_vae_jax.evaluate.report.wording import count, dig, name, number, real
from gpo_vae_jax.evaluate.unseen_words import skill_in_words

_METRICS = ("pearson", "r2", "pearson_top", "pearson_each", "pearson_others", "rank", "de_overlap")
_DRAWN = ("pearson", "pearson_each", "pearson_others", "de_overlap")
_SHORT = {  # titles of panels
    "gene": "Unseen genes",
    "gene_in_combinations": "Seen combined only",
    "combination_all_seen": "Combined, all seen",
    "combination_part_seen": "Combined, part seen",
    "combination_none_seen": "Combined, none seen",
}
_MOST = 30  # perturbations that are drawn
_MEANINGS = {
    "additive": "The mean training effects of the single perturbations, added up. A gene that is "
    "not perturbed alone in training adds nothing.",
    "knock-down only": "The perturbed genes are scaled by the factor by which training "
    "perturbations change their own genes; no other gene changes.",
    "global mean": "The mean effect of all perturbations in training, the same for each.",
    "half vs half": "One half of a perturbation's test cells predicts the other half: the noise "
    "of the data leaves about this much possible.",
    "skill": "The model is ahead of the best baseline in Pearson r over the genes that are not "
    "perturbed themselves, by more than two standard errors over perturbations, of three or more.",
}


def unseen_section(summary: dict[str, Any], perturbations: pd.DataFrame) -> Section | None:
    """Return how perturbations without training cells are predicted; None where there are none.

    Args:
      summary: of the evaluation.
      perturbations: a row for each (`effect_table.perturbation_table`).
    """
    found = {kind: scores for kind, scores in (summary.get("unseen") or {}).items() if scores}
    if not found:
        return None
    drawn = [_by_kind(found), _by_perturbation(perturbations)]
    plots = tuple(plot for plot in drawn if plot)
    body = [
        paragraph(
            "No training cell carries these perturbations, so no mean of their own cells can "
            "predict them. That the perturbed genes themselves change is no news: skill is judged "
            "on all other genes of the test cells."
        ),
        [paragraph(element("strong", said)) for said in skill_in_words(summary)],
        [figure_of(plot) for plot in plots],
        [_table(kind, found[kind]) for kind in UNSEEN if kind in found],
        element("h3", "What the words mean"),
        folded_on_phones("Show definitions", definitions(_meanings())),
    ]
    return Section("unseen", "Perturbations that training has not seen", joined(body), plots)


def _by_kind(found: Mapping[str, Any]) -> Plot | None:
    """Draw the metrics of each source, a panel for each kind."""
    panels, drawn = [], set()
    for kind, scores in found.items():
        rows: list[Row] = [
            (metric(key).label, {who: real(dig(scores, who, key)) for who in UNSEEN_MARKS})
            for key in _DRAWN
        ]
        rows = [row for row in rows if _there(row[1])]
        if rows and kind != "all":
            title = f"{_SHORT[kind]}: {count(scores['n_perturbations'])}"
            panels.append(dots(title, rows, UNSEEN_MARKS, (None, 1)))
            drawn |= {who for _, row in rows for who in _there(row)}
    caption = (
        "Perturbations without training cells, on test cells. Other genes: all but the perturbed "
        "ones. A source without a mark predicts no change there."
    )
    marks = tuple(mark for who, mark in UNSEEN_MARKS.items() if who in drawn)
    return Plot("unseen", tuple(panels), caption, marks, 2) if panels else None


def _by_perturbation(perturbations: pd.DataFrame) -> Plot | None:
    """Draw r over other genes of each perturbation that training has not seen."""
    if "unseen" not in perturbations:
        return None
    each = perturbations[perturbations[OTHERS["model"]].notna()]
    each = each.sort_values(OTHERS["model"], kind="stable")
    rows: list[Row] = [
        (name(row["perturbation"], 16), {who: real(row[key]) for who, key in OTHERS.items()})
        for row in each.head(_MOST).to_dict("records")
    ]
    if not rows:
        return None
    marks = {
        who: UNSEEN_MARKS[who] for who in OTHERS if any(row[who] is not None for _, row in rows)
    }
    some = f" (the {_MOST} worst)" if len(each) > _MOST else ""
    panel = dots(f"{metric('pearson_others').label}{some}", rows, marks, (None, 1))
    caption = "Each perturbation without training cells, on test cells, the worst first."
    return Plot("unseen_each", (panel,), caption, tuple(marks.values()), 1)


def _there(row: Mapping[str, float | None]) -> set[str]:
    return {who for who, value in row.items() if value is not None}


def _table(kind: str, scores: Mapping[str, Any]) -> Markup:
    who = [key for key in UNSEEN_SOURCES if key in scores]
    rows = []
    for key in _METRICS:
        row = metric(key)
        values = {source: real(dig(scores, source, key)) for source in who}
        if all(value is None for value in values.values()):
            continue
        best = best_of(
            row, {source: values[source] for source in who if source in UNSEEN_PREDICTIONS}
        )
        label = f"{row.label} (lower is better)" if direction(row) == "lower" else row.label
        cells = [
            element("span", number(value), class_="best") if source in best else number(value)
            for source, value in values.items()
        ]
        rows.append([label, *cells])
    n = scores["n_perturbations"]
    title = f"{count(n)} {UNSEEN[kind][n != 1]}"
    header = ["metric", *(UNSEEN_SOURCES[key] for key in who)]
    return table(title, header, rows, note="Bold: the best prediction.")


def _meanings() -> list[tuple[str, str]]:
    of_metrics = [
        (metric(key).label, metric(key).about) for key in ("pearson_others", "rank", "de_overlap")
    ]
    return [*of_metrics, *_MEANINGS.items()]
