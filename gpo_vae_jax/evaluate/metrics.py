"""The metric table: how every scored number is called, displayed and judged.

The terminal table, evaluation.csv, the comparison of runs and the report read names, labels,
directions and axis limits from here. A new metric of effects is one function (effects/
effect_scores.py) and one row of `METRICS` (metric_table.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping
from typing import TypeVar

from gpo_vae_jax.evaluate.effect_sources import CONTEXT, UNSEEN
from gpo_vae_jax.evaluate.metric_table import METRICS, EffectScore, Limits, Metric

__all__ = ["METRICS", "EffectScore", "Limits", "Metric"]

Key = TypeVar("Key", bound=Hashable)


_UNNAMED = {"run", "effects", "perturbseq", "network", "edges", "paths", "mask", "curve"}


def metric(name: str) -> Metric:
    """Return the row that describes a key or dotted path of the summary, parameters filled in.

    Raises:
      KeyError: no row describes it.
    """
    found = find(name)
    if found is None:
        raise KeyError(
            f"{name!r} is not in the metric table: add a row to METRICS (metric_table.py)"
        )
    return found


def find(name: str) -> Metric | None:
    """Return the row that describes a key or dotted path, None where there is none.

    Of several rows the one that describes most of the path is taken.
    """
    found, _ = _match(name)
    return found


def describe(path: str) -> str:
    """Return the full label of a number: its metric, and what it was computed on.

    `effects.perturbseq.held_out.model.pearson` is "Pearson r, test cells, model". A path that no
    row describes is returned as it is.
    """
    found, rest = _match(path)
    if found is None:
        return path
    context = [_words(part) for part in rest.split(".") if part not in _UNNAMED]
    return ", ".join(filter(None, (found.label, *context)))


def effect_metrics_of(top: int, top_sets: tuple[int, ...]) -> list[tuple[Metric, int]]:
    """Return the metrics of effects with the number of strongest genes each looks at.

    A metric with a parameter comes once for each number in `top_sets`, the others use `top`.
    """
    rows = [row for row in METRICS if row.of_effects is not None]
    return [
        (_filled(row, str(n)), n)
        for row in rows
        for n in (top_sets if "{n}" in row.name else (top,))
    ]


def best_of(which: Metric | str, values: Mapping[Key, float | None]) -> tuple[Key, ...]:
    """Return the keys of the best values, all of them where several are equal.

    None and nan take no part. Empty where no value is left or no direction is better.
    """
    row = metric(which) if isinstance(which, str) else which
    there = {k: v for k, v in values.items() if v is not None and not math.isnan(v)}
    if row.higher_is_better is None or not there:
        return ()
    best = max(there.values()) if row.higher_is_better else min(there.values())
    return tuple(key for key, value in there.items() if value == best)


def direction(which: Metric | None) -> str:
    """Return which direction is better, "higher" or "lower"; "" for neither."""
    if which is None or which.higher_is_better is None:
        return ""
    return "higher" if which.higher_is_better else "lower"


def verdict(which: Metric | None, difference: float) -> str:
    """Return whether a change of this size is "better" or "worse"; "" where it is neither."""
    if which is None or not direction(which) or not difference or math.isnan(difference):
        return ""
    return "better" if (difference > 0) == which.higher_is_better else "worse"


def _match(path: str) -> tuple[Metric | None, str]:
    """Return the row for a path and the part of the path before the row's name."""
    best: tuple[Metric | None, str] = (None, path)
    for row in METRICS:
        pattern = re.escape(row.name).replace(r"\{n\}", r"(?P<n>[^.]+)")
        found = re.search(rf"(?:^|\.){pattern}$", path)
        if found and (best[0] is None or found.start() < len(best[1])):
            best = (_filled(row, found.groupdict().get("n") or ""), path[: found.start()])
    return best


def _words(part: str) -> str:
    """Return a part of a path in words: `held_out`, `set_block`, `length_2`, `edges_500`."""
    part = part.removeprefix("set_")
    kind, _, number = part.partition("_")
    if number.isdigit() and kind in ("length", "edges"):
        return f"distance {number}" if kind == "length" else f"{number} edges"
    return UNSEEN[part][1] if part in UNSEEN and part != "all" else CONTEXT.get(part, part)


def _filled(row: Metric, n: str) -> Metric:
    """Return a row with its parameter filled in."""
    if "{n}" not in row.name:
        return row
    name, label, about = (text.replace("{n}", n) for text in (row.name, row.label, row.about))
    return row._replace(name=name, label=label, about=about)
