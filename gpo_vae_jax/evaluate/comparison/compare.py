"""Evaluations side by side: their metrics and their networks (docs/method.md 8.9)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.evaluate.main_numbers import MAIN_PATHS
from gpo_vae_jax.evaluate.metrics import best_of, describe, direction, find, verdict
from gpo_vae_jax.evaluate.network.recovery import judged_pairs
from gpo_vae_jax.evaluate.results import Evaluation
from gpo_vae_jax.evaluate.summary_numbers import numbers
from gpo_vae_jax.statistics.correlation import pearson

MAIN = (  # paths of the numbers that are printed and drawn
    "effects.perturbseq.held_out.model.pearson",
    "effects.perturbseq.held_out.model.r2",
    "effects.perturbseq.held_out.model.jaccard_50",
    "effects.perturbseq.reference.model.pearson",
    *MAIN_PATHS,
)
_RESERVED = ("metric", "label", "better", "mean", "sd", "best")  # columns of the metric table


@dataclasses.dataclass(frozen=True)
class EvaluatedRun:
    """One evaluation of a comparison."""

    name: str
    summary: dict[str, Any]  # `Evaluation.summary`
    treatments: tuple[str, ...]  # T names
    n_perturbed: int
    probabilities: np.ndarray  # [T, T]
    folder: str = ""  # empty for an evaluation in memory

    @classmethod
    def of(cls, name: str, evaluation: Evaluation) -> EvaluatedRun:
        """Return what a comparison needs of an evaluation."""
        return cls(
            name,
            evaluation.summary,
            tuple(evaluation.treatments),
            evaluation.n_perturbed,
            np.asarray(evaluation.probabilities),
        )

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the data; empty where it was not recorded."""
        return str((self.summary.get("run", {}).get("data") or {}).get("fingerprint") or "")


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison:
    """Evaluations side by side.

    `metrics` and `edges` are the tables of `metric_table` and `edge_agreement`; `notes` are
    sentences about what makes the runs hard to compare.
    """

    runs: tuple[EvaluatedRun, ...]
    metrics: pd.DataFrame
    edges: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Return the names of the runs; differences are taken from the first."""
        return [run.name for run in self.runs]

    @property
    def table(self) -> pd.DataFrame:
        """Return the main metrics by label: a column for each run, and the best ones."""
        found = self.metrics.set_index("metric")
        found = found.loc[[path for path in MAIN if path in found.index]]
        return found.set_index("label")[[*self.names, "better", "best"]]

    def __repr__(self) -> str:
        return f"Comparison of {', '.join(self.names)}\n{self.table.to_string(na_rep='-')}"

    def _repr_html_(self) -> str:
        """Return the main metrics as a table for notebooks."""
        return self.table.to_html(na_rep="-", float_format=lambda value: f"{value:.4g}")


def compare(
    evaluations: Mapping[str, Evaluation] | Sequence[EvaluatedRun], *, different_data: bool = False
) -> Comparison:
    """Compare evaluations, given by name or as `EvaluatedRun`s.

    The edges of every two are compared at the threshold and the matched numbers of edges that the
    first was evaluated with.

    Raises:
      ConfigError: there are fewer than two, or two have one name.
      DataError: they differ in treatments, or in data without `different_data`.
    """
    if isinstance(evaluations, Mapping):
        runs = [EvaluatedRun.of(name, found) for name, found in evaluations.items()]
    else:
        runs = list(evaluations)
    _check(runs, different_data)
    settings = runs[0].summary.get("settings", {})
    edges = edge_agreement(
        runs, threshold=settings.get("threshold", 0.5), top=settings.get("matched_edges", ())
    )
    return Comparison(tuple(runs), metric_table(runs), edges, tuple(_notes(runs)))


def metric_table(runs: Sequence[EvaluatedRun]) -> pd.DataFrame:
    """Return a row for every metric that any run has, in the order of the first run that has it.

    Returns:
      metric (dotted path), label, better ("higher", "lower" or empty where neither is); a column
      for each run; mean and sd over the runs that have it (sd divides by one less than their
      number); best, the names of the best runs (`best_runs`); and for each run after the first
      "NAME - FIRST", the difference, and "NAME vs FIRST", whether that is better or worse.
    """
    columns = {run.name: numbers(run.summary) for run in runs}
    paths = list(dict.fromkeys(path for column in columns.values() for path in column))
    values = pd.DataFrame(
        {name: [column.get(p, math.nan) for p in paths] for name, column in columns.items()}
    )
    rows = [find(path) for path in paths]
    table = pd.DataFrame(
        {
            "metric": pd.Series(paths, dtype=object),
            "label": pd.Series([describe(path) for path in paths], dtype=object),
            "better": pd.Series([direction(row) for row in rows], dtype=object),
        }
    )
    table = pd.concat([table, values], axis=1)
    table["mean"], table["sd"] = values.mean(axis=1), values.std(axis=1)
    table["best"] = [
        ", ".join(best_runs(path, dict(zip(columns, found, strict=True))))
        for path, found in zip(paths, values.itertuples(index=False), strict=True)
    ]
    first = runs[0].name
    for run in runs[1:]:
        difference = values[run.name] - values[first]
        table[f"{run.name} - {first}"] = difference
        table[f"{run.name} vs {first}"] = [
            verdict(row, change) for row, change in zip(rows, difference, strict=True)
        ]
    return table[values.notna().any(axis=1)].reset_index(drop=True)


def best_runs(path: str, values: Mapping[str, float]) -> tuple[str, ...]:
    """Return the runs that are best in a metric; empty unless they are better than another run."""
    row = find(path)
    known = {name: value for name, value in values.items() if math.isfinite(value)}
    best = best_of(row, known) if row else ()
    return best if len(best) < len(known) else ()


def edge_agreement(
    runs: Sequence[EvaluatedRun], *, threshold: float = 0.5, top: Sequence[int] = ()
) -> pd.DataFrame:
    """Compare the networks of every two runs, over pairs of a perturbed source and another gene.

    Args:
      runs: two or more on the same treatments.
      threshold: an edge is called above this probability.
      top: numbers of most probable edges to compare as well.

    Returns:
      One row for every two runs and set of edges: run_a, run_b, edges ("called", or "top N" most
      probable, where N is the smaller number of calls or one of `top`), n_a, n_b, n_shared,
      jaccard, random_jaccard (expected of random sets of these sizes), and the pearson and
      spearman correlation of the probabilities of all pairs.
    """
    counted = judged_pairs(len(runs[0].treatments), runs[0].n_perturbed)
    values = {run.name: run.probabilities[counted] for run in runs}
    order = {name: np.argsort(-v, kind="stable") for name, v in values.items()}
    n_possible = int(counted.sum())
    rows = []
    for a, b in combinations([run.name for run in runs], 2):
        correlations = {
            "pearson": pearson(values[a], values[b]),
            "spearman": pearson(stats.rankdata(values[a]), stats.rankdata(values[b])),
        }
        called = {name: np.flatnonzero(values[name] > threshold) for name in (a, b)}
        sets = {"called": (called[a], called[b])}
        for n in sorted({min(len(called[a]), len(called[b])), *top}):
            if 0 < n < n_possible:
                sets[f"top {n}"] = (order[a][:n], order[b][:n])
        for name, (edges_a, edges_b) in sets.items():
            shared = len(np.intersect1d(edges_a, edges_b))
            either = len(edges_a) + len(edges_b) - shared
            rows.append(
                {
                    "run_a": a,
                    "run_b": b,
                    "edges": name,
                    "n_a": len(edges_a),
                    "n_b": len(edges_b),
                    "n_shared": shared,
                    "jaccard": shared / either if either else math.nan,
                    "random_jaccard": random_jaccard(len(edges_a), len(edges_b), n_possible),
                    **correlations,
                }
            )
    return pd.DataFrame(rows)


def random_jaccard(n_a: int, n_b: int, n_possible: int) -> float:
    """Return the expected Jaccard index of two random sets of these sizes; nan for two empty ones.

    The number of shared members is hypergeometric; the expectation sums over it.
    """
    if n_a + n_b == 0:
        return math.nan
    shared = np.arange(max(0, n_a + n_b - n_possible), min(n_a, n_b) + 1)
    probability = stats.hypergeom.pmf(shared, n_possible, n_a, n_b)
    return float((probability * shared / (n_a + n_b - shared)).sum())


def _check(runs: Sequence[EvaluatedRun], different_data: bool) -> None:
    if len(runs) < 2:
        raise ConfigError(f"a comparison needs two runs or more, not {len(runs)}")
    names = [run.name for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two runs are named {twice[0]!r}; name them: A=DIR B=DIR")
    taken = [name for name in names if name in _RESERVED]
    if taken:
        raise ConfigError(f"a run cannot be named {taken[0]!r}: it is a column of the table")
    first = runs[0]
    for run in runs[1:]:
        if (run.treatments, run.n_perturbed) != (first.treatments, first.n_perturbed):
            differ = sorted(set(run.treatments) ^ set(first.treatments))
            example = f", such as {differ[0]!r}" if differ else " in their order"
            raise DataError(f"runs {first.name} and {run.name} differ in treatments{example}")
        if run.fingerprint != first.fingerprint and not different_data:
            raise DataError(
                f"runs {first.name} and {run.name} were trained on different data (run.data."
                "fingerprint of the evaluation); --different_data compares them all the same"
            )


def _notes(runs: Sequence[EvaluatedRun]) -> list[str]:
    """Return sentences about what makes runs hard to compare."""
    first = runs[0]
    notes = []
    for run in runs[1:]:
        if run.fingerprint != first.fingerprint:
            notes.append(f"note: {run.name} was trained on other data than {first.name}")
        ours, theirs = first.summary.get("settings", {}), run.summary.get("settings", {})
        differ = sorted(k for k in {*ours, *theirs} if _plain(ours.get(k)) != _plain(theirs.get(k)))
        if differ:
            notes.append(
                f"note: {run.name} was evaluated with other settings than {first.name}: "
                f"{', '.join(differ)}"
            )
    return notes


def _plain(value: Any) -> Any:
    """Return a setting as JSON would hold it: tuples as lists."""
    return list(value) if isinstance(value, tuple) else value
