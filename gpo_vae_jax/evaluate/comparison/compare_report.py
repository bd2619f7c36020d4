"""The files and lines of a comparison of runs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gpo_vae_jax.evaluate.comparison.compare import MAIN, EvaluatedRun, edge_agreement, metric_table
from gpo_vae_jax.evaluate.comparison.compare_plots import jaccard_figure, metrics_figure
from gpo_vae_jax.files import write_text, written_beside


def write_comparison(runs: Sequence[EvaluatedRun], folder: str | Path) -> list[str]:
    """Write compare.csv, compare_edges.csv, compare.json and two PNGs; give lines for people.

    compare_edges.png is the matrix of the Jaccard indices of called edges, compare_metrics.png a
    row of dots for each main metric.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = runs[0].summary.get("settings", {})
    metrics = metric_table(runs)
    edges = edge_agreement(
        runs, threshold=settings.get("threshold", 0.5), top=settings.get("matched_edges", ())
    )
    notes = _notes(runs)
    for name, table in (("compare.csv", metrics), ("compare_edges.csv", edges)):
        with written_beside(folder / name) as path:
            table.to_csv(path, index=False, float_format="%.6g")
    found = {
        "runs": {run.name: run.folder for run in runs},
        "baseline": runs[0].name,
        "notes": notes,
        "metrics": _records(metrics),
        "edges": _records(edges),
    }
    write_text(folder / "compare.json", json.dumps(found, indent=1, allow_nan=False) + "\n")
    names = [run.name for run in runs]
    for name, figure in (
        ("compare_edges.png", jaccard_figure(edges, names)),
        ("compare_metrics.png", metrics_figure(metrics, names)),
    ):
        with written_beside(folder / name) as path:
            figure.savefig(path, format="png", dpi=150)
    files = "compare.csv, compare_edges.csv, compare.json, compare_edges.png, compare_metrics.png"
    return [*_metric_lines(metrics, names), *_edge_lines(edges), *notes, f"in {folder}: {files}"]


def _notes(runs: Sequence[EvaluatedRun]) -> list[str]:
    """Say what makes runs hard to compare."""
    first = runs[0]
    notes = []
    for run in runs[1:]:
        if run.fingerprint != first.fingerprint:
            notes.append(f"note: {run.name} was trained on other data than {first.name}")
        ours, theirs = first.summary.get("settings", {}), run.summary.get("settings", {})
        differ = sorted(k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k))
        if differ:
            notes.append(
                f"note: {run.name} was evaluated with other settings than {first.name}: "
                f"{', '.join(differ)}"
            )
    return notes


def _metric_lines(metrics: pd.DataFrame, names: Sequence[str]) -> list[str]:
    table = metrics.set_index("metric")
    columns = [*names, "mean", "sd"]
    rows = [("", *columns)]
    for metric, title in MAIN.items():
        if metric in table.index:
            rows.append((title, *(_short(table.loc[metric, column]) for column in columns)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns) + 1)]
    return [
        f"{row[0]:{widths[0]}}  "
        + "  ".join(f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]


def _edge_lines(edges: pd.DataFrame) -> list[str]:
    lines = ["edges shared by runs (Jaccard index; of random sets as large):"]
    for row in edges.itertuples():
        lines.append(
            f"  {row.run_a}, {row.run_b}, {row.edges}: {_short(row.jaccard)} "
            f"({_short(row.random_jaccard)}), {row.n_shared} of {row.n_a} and {row.n_b}"
        )
    for a, b in edges[["run_a", "run_b"]].drop_duplicates().itertuples(index=False):
        row = edges[(edges["run_a"] == a) & (edges["run_b"] == b)].iloc[0]
        lines.append(
            f"  {a}, {b}: correlation of probabilities r {_short(row['pearson'])}, "
            f"rho {_short(row['spearman'])}"
        )
    return lines


def _short(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.4g}"


def _records(table: pd.DataFrame) -> list[dict]:
    """Return rows for JSON: nan becomes null."""
    return json.loads(table.to_json(orient="records", double_precision=15))
