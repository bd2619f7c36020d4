"""metrics.csv: the history of a run, one row an epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gpo_vae_jax import progress
from gpo_vae_jax.files import write_text
from gpo_vae_jax.runs.sealed_json import DamagedError


class MetricsFile:
    """A CSV file that grows by a row an epoch.

    Opening it drops what a resumed run repeats: rows from `first_epoch` on, and a row that a killed
    process left unfinished. Where the state to resume from has recorded the rows before, they are
    what it recorded.
    """

    def __init__(self, path: Path, first_epoch: int, recorded: str = ""):
        self._path = path
        found = _text(path)
        self.text = recorded or _whole_rows(found, first_epoch)  # what the file is to hold
        if recorded and not found.startswith(recorded):
            progress.note(
                f"{path} was damaged, changed or lost: its {first_epoch} rows are written anew "
                "from the checkpoint"
            )
        self._columns = next(csv.reader(io.StringIO(self.text)), [])
        if found != self.text:
            write_text(path, self.text)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row; the first one decides the columns."""
        rows = []
        if not self._columns:
            self._columns = list(row)
            rows.append(self._columns)
        rows.append([row[column] for column in self._columns])
        lines = _lines(rows)
        self.text += lines  # first: where writing fails, the state of this epoch records the row
        with self._path.open("a", newline="") as file:
            file.write(lines)


def read_history(path: Path, recorded: str = "") -> pd.DataFrame:
    """Return the rows of a metrics file, every number as it was; no rows where it is absent.

    Args:
      path: of the file.
      recorded: what the last state recorded of it; used instead where the file says otherwise.

    Raises:
      DamagedError: nothing was recorded, and the file is no table of numbers.
    """
    text = _text(path)
    if recorded and not text.startswith(recorded):
        progress.note(f"{path} was damaged, changed or lost; using what the checkpoint recorded")
        text = recorded
    if not text:
        return pd.DataFrame()
    try:
        table = pd.read_csv(io.StringIO(text), float_precision="round_trip")
        if "epoch" in table and all(map(pd.api.types.is_numeric_dtype, table.dtypes)):
            return table
        raise ValueError("no numbers")
    except ValueError as error:
        raise DamagedError(
            f"{path} is damaged: it is no table of numbers with the column 'epoch'; remove it, or "
            "restore it from a copy"
        ) from error


def _text(path: Path) -> str:
    """Return what a file holds; bytes that are no text become marks that no number has."""
    return path.read_bytes().decode("utf-8", errors="replace") if path.exists() else ""


def _whole_rows(text: str, first_epoch: int) -> str:
    """Return the header and the rows before an epoch, without one that is unfinished."""
    rows = []
    for row in csv.DictReader(io.StringIO(text.replace("\0", ""))):
        whole = None not in row.values() and None not in row
        if whole and str(row.get("epoch", "")).isdigit() and int(row["epoch"]) < first_epoch:
            rows.append(row)
    return _lines([list(rows[0]), *(list(row.values()) for row in rows)]) if rows else ""


def _lines(rows: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
