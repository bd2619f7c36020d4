"""The files and the terminal table of a comparison of runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gpo_vae_jax.evaluate.comparison.compare import MAIN, Comparison, best_runs
from gpo_vae_jax.evaluate.comparison.compare_plots import jaccard_figure, metrics_figure
from gpo_vae_jax.files import write_text, written_beside

_WIDTH = 80  # columns of a terminal


def write_comparison(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write a comparison into a folder and return the paths of its files.

    compare.csv and compare_edges.csv are its tables, compare.json both with the notes;
    compare_edges.png shows the Jaccard index of called edges of every two runs, compare_metrics.png
    a row of dots for each main metric.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    metrics, edges, names = comparison.metrics, comparison.edges, comparison.names
    tables = {"compare.csv": metrics, "compare_edges.csv": edges}
    for name, table in tables.items():
        with written_beside(folder / name) as path:
            table.to_csv(path, index=False, float_format="%.6g")
    found = {
        "runs": {run.name: run.folder for run in comparison.runs},
        "baseline": names[0],
        "notes": list(comparison.notes),
        "metrics": _records(metrics),
        "edges": _records(edges),
    }
    write_text(folder / "compare.json", json.dumps(found, indent=1, allow_nan=False) + "\n")
    figures = {
        "compare_edges.png": jaccard_figure(edges, names),
        "compare_metrics.png": metrics_figure(metrics, names),
    }
    for name, figure in figures.items():
        with written_beside(folder / name) as path:
            figure.savefig(path, format="png", dpi=150)
    return [folder / name for name in (*tables, "compare.json", *figures)]


def comparison_table(comparison: Comparison) -> str:
    """Return the main numbers of a comparison as text of at most 80 columns.

    The best run of each row is marked with a star, where one direction is better.
    """
    lines = _metric_lines(comparison.metrics, comparison.names)
    return "\n".join([*lines, *_edge_lines(comparison.edges), *comparison.notes])


def _metric_lines(metrics: pd.DataFrame, names: Sequence[str]) -> list[str]:
    rows = {row["metric"]: row for row in metrics.to_dict("records")}
    shown = [rows[path] for path in MAIN if path in rows]
    cells = {"": [str(row["label"]) for row in shown]}
    for name in names:
        cells[name] = [_marked(row, name, names) for row in shown]
    if len(names) == 2:
        a, b = names
        changes = [(_short(row[f"{b} - {a}"]), row[f"{b} vs {a}"]) for row in shown]
        cells["difference"] = [f"{change} {judged:6}  " for change, judged in changes]
    else:
        for over in ("mean", "sd"):
            cells[over] = [f"{_short(row[over])}  " for row in shown]
    lines = _blocks(cells)
    if any("*" in cell for name in names for cell in cells[name]):
        lines.append("* the best run of the row")
    return lines


def _marked(row: Mapping[Any, Any], name: str, names: Sequence[str]) -> str:
    """Return a run's value, with a star where it is better than another run."""
    best = best_runs(str(row["metric"]), {other: float(row[other]) for other in names})
    return _short(row[name]) + (" *" if name in best else "  ")


def _blocks(cells: dict[str, list[str]]) -> list[str]:
    """Lay out columns of text; those that do not fit a terminal continue below."""
    label, *columns = cells
    first = max((len(text) for text in cells[label]), default=0)
    widths = {name: max(len(name) + 2, *map(len, cells[name]), 0) for name in columns}
    lines: list[str] = []
    while columns:
        taken, width = [], first
        while columns and (not taken or width + 1 + widths[columns[0]] <= _WIDTH):
            width += 1 + widths[columns[0]]
            taken.append(columns.pop(0))
        rows = [
            [f"{name}  " for name in taken],
            *zip(*(cells[name] for name in taken), strict=True),
        ]
        for text, row in zip(["", *cells[label]], rows, strict=True):
            line = f"{text:{first}}" + "".join(
                f" {cell:>{widths[name]}}" for name, cell in zip(taken, row, strict=True)
            )
            lines.append(line.rstrip())
    return lines


def _edge_lines(edges: pd.DataFrame) -> list[str]:
    """Return two lines for every two runs; compare_edges.csv has the most probable edges too."""
    lines = ["Called edges shared by two runs (in brackets: by random sets of edges)"]
    for row in edges[edges["edges"] == "called"].to_dict("records"):
        lines += [
            f"  {row['run_a']}, {row['run_b']}: {row['n_shared']} of {row['n_a']} and {row['n_b']}",
            f"    Jaccard {_short(row['jaccard'])} ({_short(row['random_jaccard'])}); "
            f"probabilities: r {_short(row['pearson'])}, rho {_short(row['spearman'])}",
        ]
    return lines


def _short(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.4g}"


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows for JSON, nan as null."""
    return json.loads(table.to_json(orient="records", double_precision=15))
