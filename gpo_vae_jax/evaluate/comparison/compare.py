"""Runs side by side: their metrics, and how far their networks agree."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.evaluate.network.recovery import judged_pairs

_NO_METRICS = ("settings", "name", "workdir", "seed", "versions", "device", "data")
_IDENTIFY = ("set", "length", "edges")  # what tells entries of a list apart

MAIN = {  # metric -> what people call it
    "run.best_loss": "best validation loss",
    "predictive_iwelbo.mean": "predictive IWELBO",
    "effects.perturbseq.held_out.model.pearson": "effects r, held out",
    "effects.perturbseq.held_out.model.r2": "effects R2, held out",
    "effects.perturbseq.held_out.model.jaccard_50": "effects Jaccard-50, held out",
    "effects.perturbseq.reference.model.pearson": "effects r, all cells",
    "quality.reference.3": "cells that pass at 3 MADs",
    "network.n_edges": "edges",
    "network.n_edges_block": "edges in the block",
    "network.block.edges.mean_wasserstein": "mean Wasserstein of block edges",
    "network.block.false_omission_rate": "false omission rate, block",
    "known_networks.union.precision": "precision, known networks",
    "known_networks.union.auprc": "AUPRC, known networks",
    "truth.auprc": "AUPRC, true network",
    "truth.mask.f1": "F1, true network",
}


@dataclasses.dataclass(frozen=True)
class EvaluatedRun:
    """Hold what a run folder says of a run that was evaluated."""

    name: str
    folder: str
    summary: dict[str, Any]  # evaluation.json
    fingerprint: str  # of the data
    treatments: tuple[str, ...]
    n_perturbed: int
    probabilities: np.ndarray  # [T, T]


def read_evaluated(spec: str) -> EvaluatedRun:
    """Read a run that was evaluated, given as DIR or NAME=DIR; the folder's name is the default.

    Raises:
      DataError: the folder is missing, lacks something (saying which command writes it), or holds
        a file that cannot be read.
    """
    name, equals, folder = spec.partition("=")
    if not equals or Path(spec).is_dir():
        name, folder = Path(spec).name or spec, spec
    path = Path(folder)
    if not path.is_dir():
        raise DataError(f"run {name}: there is no folder {folder!r}")
    wanted = {
        "run.json": "holds no run (scripts/train.py makes one)",
        "evaluation.json": f"was not evaluated: python scripts/evaluate.py --workdir={folder}",
        "grn.csv": f"has no network: python scripts/export_grn.py --workdir={folder}",
    }
    for file, problem in wanted.items():
        if not (path / file).is_file():
            raise DataError(f"run {name}: {folder} {problem}")
    try:
        run = json.loads((path / "run.json").read_text())
        summary = json.loads((path / "evaluation.json").read_text())
        matrix = pd.read_csv(
            path / "grn.csv", dtype={0: str}, keep_default_na=False, na_values={}
        ).set_index("source")
        treatments = tuple(map(str, run["treatments"]))
        return EvaluatedRun(
            name=name,
            folder=folder,
            summary=summary,
            fingerprint=run["data"]["fingerprint"],
            treatments=treatments,
            n_perturbed=int(run["n_perturbed"]),
            probabilities=matrix.loc[list(treatments), list(treatments)].to_numpy(float),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"run {name}: a file in {folder} cannot be read: {error!r}") from error


def read_runs(specs: Sequence[str], *, different_data: bool = False) -> list[EvaluatedRun]:
    """Read the runs to compare (see `read_evaluated`).

    Args:
      different_data: whether runs on different data are compared all the same.

    Raises:
      ConfigError: fewer than two runs, or two of one name.
      DataError: also for runs on different treatments, or on different data.
    """
    runs = [read_evaluated(spec) for spec in specs]
    if len(runs) < 2:
        raise ConfigError(f"comparing needs two runs or more, not {len(runs)}")
    names = [run.name for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two runs are named {twice[0]!r}; name them: A=DIR B=DIR")
    first = runs[0]
    for run in runs[1:]:
        if (run.treatments, run.n_perturbed) != (first.treatments, first.n_perturbed):
            differ = sorted(set(run.treatments) ^ set(first.treatments))
            example = f", such as {differ[0]!r}" if differ else " in their order"
            raise DataError(f"runs {first.name} and {run.name} differ in treatments{example}")
        if run.fingerprint != first.fingerprint and not different_data:
            raise DataError(
                f"runs {first.name} and {run.name} were trained on different data (run.json: "
                "data.fingerprint); --different_data compares them all the same"
            )
    return runs


def scalars(summary: Any, at: str = "") -> Iterator[tuple[str, float]]:
    """Return every metric of a summary as (dotted name, number); null is nan.

    Entries of lists are named by what tells them apart: network.block.paths.length_2.n.
    """
    if isinstance(summary, dict):
        for key, value in summary.items():
            if key not in _NO_METRICS or (at and at != "run"):
                yield from scalars(value, f"{at}.{key}" if at else str(key))
    elif isinstance(summary, list):
        for i, value in enumerate(summary):
            known = [k for k in _IDENTIFY if isinstance(value, dict) and k in value]
            name = ".".join(f"{k}_{value[k]}" for k in known) or str(i)
            rest = {k: v for k, v in value.items() if k not in known} if known else value
            yield from scalars(rest, f"{at}.{name}")
    elif summary is None:
        yield at, math.nan
    elif isinstance(summary, (int, float)) and not isinstance(summary, bool):
        yield at, float(summary)


def metric_table(runs: Sequence[EvaluatedRun]) -> pd.DataFrame:
    """Return a row for every metric, in the order of the first run that has it.

    Returns:
      metric; a column for each run; mean and sd over runs that have it (sd divides by one less
      than their number); and for each run after the first "NAME - FIRST", the difference.
    """
    columns = {run.name: dict(scalars(run.summary)) for run in runs}
    metrics = list(dict.fromkeys(metric for column in columns.values() for metric in column))
    values = pd.DataFrame(
        {name: [column.get(m, math.nan) for m in metrics] for name, column in columns.items()}
    )
    table = pd.concat([pd.Series(metrics, name="metric", dtype=object), values], axis=1)
    table["mean"], table["sd"] = values.mean(axis=1), values.std(axis=1)
    first = runs[0].name
    for run in runs[1:]:
        table[f"{run.name} - {first}"] = values[run.name] - values[first]
    return table[values.notna().any(axis=1)].reset_index(drop=True)


def edge_agreement(
    runs: Sequence[EvaluatedRun], *, threshold: float = 0.5, top: Sequence[int] = ()
) -> pd.DataFrame:
    """Compare the networks of every two runs, over pairs of a perturbed source and another gene.

    Returns:
      One row for every two runs and set of edges: run_a, run_b, edges ("called", or "top N" most
      probable: N is the smaller number of calls, and those of `top`), n_a, n_b, n_shared, jaccard,
      random_jaccard (expected of random sets of these sizes), and over all pairs the pearson and
      spearman correlation of probabilities.
    """
    counted = judged_pairs(len(runs[0].treatments), runs[0].n_perturbed)
    values = {run.name: run.probabilities[counted] for run in runs}
    order = {name: np.argsort(-v, kind="stable") for name, v in values.items()}
    n_possible = int(counted.sum())
    rows = []
    for a, b in combinations([run.name for run in runs], 2):
        pearson, spearman = _correlations(values[a], values[b])
        called = {name: np.flatnonzero(values[name] > threshold) for name in (a, b)}
        sets = {"called": (called[a], called[b])}
        for n in sorted({min(len(called[a]), len(called[b])), *top}):
            if 0 < n < n_possible:
                sets[f"top {n}"] = (order[a][:n], order[b][:n])
        for name, (edges_a, edges_b) in sets.items():
            shared = len(np.intersect1d(edges_a, edges_b))
            either = len(edges_a) + len(edges_b) - shared
            rows.append({
                "run_a": a, "run_b": b, "edges": name,
                "n_a": len(edges_a), "n_b": len(edges_b), "n_shared": shared,
                "jaccard": shared / either if either else math.nan,
                "random_jaccard": random_jaccard(len(edges_a), len(edges_b), n_possible),
                "pearson": pearson, "spearman": spearman,
            })  # fmt: skip
    return pd.DataFrame(rows)


def random_jaccard(n_a: int, n_b: int, n_possible: int) -> float:
    """Return the expected Jaccard index of two random sets of these sizes; nan for two empty ones.

    The number shared is hypergeometric; the expectation is summed over it.
    """
    if n_a + n_b == 0:
        return math.nan
    shared = np.arange(max(0, n_a + n_b - n_possible), min(n_a, n_b) + 1)
    probability = stats.hypergeom.pmf(shared, n_possible, n_a, n_b)
    return float((probability * shared / (n_a + n_b - shared)).sum())


def _correlations(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    if a.std() == 0 or b.std() == 0:
        return math.nan, math.nan
    return float(np.corrcoef(a, b)[0, 1]), float(stats.spearmanr(a, b).statistic)
