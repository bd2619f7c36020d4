"""metrics.csv: the history of a run, one row an epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gpo_vae_jax.files import write_text


class MetricsFile:
    """A CSV file that grows by a row an epoch.

    Opening it drops what a resumed run repeats: rows from `first_epoch` on, and a row that a killed
    process left unfinished.
    """

    def __init__(self, path: Path, first_epoch: int):
        rows = []
        if path.exists():
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    whole = None not in row.values() and None not in row
                    if whole and row["epoch"].isdigit() and int(row["epoch"]) < first_epoch:
                        rows.append(row)
        self._path = path
        self._columns = list(rows[0]) if rows else None
        if path.exists():
            lines = _lines([list(rows[0]), *(list(row.values()) for row in rows)]) if rows else ""
            write_text(path, lines)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row; the first one decides the columns."""
        lines = []
        if self._columns is None:
            self._columns = list(row)
            lines.append(self._columns)
        lines.append([row[column] for column in self._columns])
        with self._path.open("a", newline="") as file:
            file.write(_lines(lines))


def read_history(path: Path) -> pd.DataFrame:
    """Return the rows of a metrics file, every number as it was; no rows where it is absent."""
    if not path.exists() or not path.stat().st_size:
        return pd.DataFrame()
    return pd.read_csv(path, float_precision="round_trip")


def _lines(rows: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
