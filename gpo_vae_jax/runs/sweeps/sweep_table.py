"""The table of a sweep: a row for each run, and a summary over seeds for each setting."""

from __future__ import annotations

import functools
import json
import math
from typing import Any

import numpy as np
import pandas as pd

from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import counted
from gpo_vae_jax.evaluate import file_names
from gpo_vae_jax.evaluate.summary_numbers import numbers
from gpo_vae_jax.files import write_text
from gpo_vae_jax.runs.metrics_file import read_history
from gpo_vae_jax.runs.sweeps.sweep_folder import SEED, Sweep, SweepFolder
from gpo_vae_jax.runs.sweeps.sweep_run import failure_of
from gpo_vae_jax.train.group import has_ended

TABLE, SUMMARY, RESULTS = "sweep.csv", "sweep_summary.csv", "sweep_results.json"
FINISHED, INTERRUPTED, WAITING, FAILED = "finished", "interrupted", "waiting", "failed"
_NUMBERS = ("val_loss", "best_epoch", "n_epochs")


def sweep_table(folder: SweepFolder) -> pd.DataFrame:
    """Return a row for each member, in the order of the grid.

    Returns:
      Columns name; the settings of the grid by path; seed; status (finished, interrupted, waiting
      or failed); val_loss, the lowest; best_epoch; n_epochs; seconds of its epochs; reason of a
      failure; and, of members that were evaluated, every number of the evaluation.
    """
    sweep = folder.read()
    rows = [
        _row(folder, sweep, name, config)
        for name, config in zip(sweep.names(), sweep.configs(), strict=True)
    ]
    return pd.DataFrame(rows)


def summary_over_seeds(table: pd.DataFrame, settings: list[str]) -> pd.DataFrame:
    """Return mean and sample standard deviation over finished seeds, for each setting of a grid."""
    finished = table[table["status"] == FINISHED]
    skip = {"name", "seed", "status", "reason", "seconds", *settings}
    numbers = [
        column
        for column in table
        if column not in skip and pd.api.types.is_numeric_dtype(table[column])
    ]
    groups = finished.groupby(settings, sort=False, dropna=False) if settings else [((), finished)]
    rows = []
    for values, part in groups:
        row: dict[str, Any] = dict(zip(settings, values, strict=True))
        row["n"] = len(part)
        for column in numbers:
            row[f"{column}_mean"] = part[column].mean()
            row[f"{column}_sd"] = part[column].std(ddof=1)
        rows.append(row)
    return pd.DataFrame(rows)


def write_table(folder: SweepFolder) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write sweep.csv, sweep_summary.csv and sweep_results.json; return table and summary."""
    table = sweep_table(folder)
    settings = [path for path in folder.read().grid if path != SEED]
    summary = summary_over_seeds(table, settings)
    write_text(folder.path / TABLE, table.to_csv(index=False))
    write_text(folder.path / SUMMARY, summary.to_csv(index=False))
    records = {
        "members": json.loads(table.to_json(orient="records", double_precision=15)),
        "summary": json.loads(summary.to_json(orient="records", double_precision=15)),
    }
    write_text(folder.path / RESULTS, json.dumps(records, indent=1) + "\n")
    return table, summary


def in_words(table: pd.DataFrame, summary: pd.DataFrame, settings: list[str]) -> list[str]:
    """Return the summary as lines of a terminal, the lowest mean validation loss marked."""
    counts = table["status"].value_counts()
    lines = [", ".join(f"{number} {status}" for status, number in counts.items())]
    if summary.empty or "val_loss_mean" not in summary:
        return lines
    short = [path.split(".")[-1] for path in settings]
    best = summary["val_loss_mean"].min()
    for _, row in summary.iterrows():
        where = ", ".join(
            f"{name}={_text(row[path])}" for name, path in zip(short, settings, strict=True)
        )
        spread = "" if math.isnan(row["val_loss_sd"]) else f" +- {row['val_loss_sd']:.4f}"
        star = " *" if len(summary) > 1 and row["val_loss_mean"] == best else ""
        loss = f"validation loss {row['val_loss_mean']:.4f}{spread}"
        lines.append(f"  {where or 'all'}: {loss} ({counted(int(row['n']), 'seed')}){star}")
    return lines


def _row(folder: SweepFolder, sweep: Sweep, name: str, config: Config) -> dict[str, Any]:
    run = folder.member(name)
    row: dict[str, Any] = {"name": name}
    for path in sweep.grid:
        if path != SEED:
            value = functools.reduce(getattr, path.split("."), config)
            row[path] = value if isinstance(value, (int, float, str, bool)) else str(value)
    row["seed"] = config.train.seed
    record, reason = folder.last_record(name), failure_of(run.path)
    ended = record is not None and has_ended(
        record.epoch, record.best_epoch, run.read_config().train
    )
    started = record is not None or run.config.exists()
    row["status"] = FINISHED if ended else INTERRUPTED if started else WAITING
    if reason and not ended:
        row["status"] = FAILED
    row |= dict.fromkeys((*_NUMBERS, "seconds"), math.nan)
    if record is not None:
        loss = math.nan if record.best_loss is None else record.best_loss
        row |= {"val_loss": loss, "best_epoch": record.best_epoch, "n_epochs": record.epoch}
        history = read_history(run.metrics, record.history)
        row["seconds"] = round(float(history["seconds"].sum()), 3) if len(history) else 0.0
    row["reason"] = reason if row["status"] == FAILED else ""
    evaluation = run.path / file_names.EVALUATION
    if ended and evaluation.exists():
        row |= numbers(json.loads(evaluation.read_text(encoding="utf-8")))
    return row


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)
