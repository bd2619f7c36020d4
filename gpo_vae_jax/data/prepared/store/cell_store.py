"""The folder of cells on disk: reused where it fits its prepared file, else written."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gpo_vae_jax.data.dataset import Summary
from gpo_vae_jax.data.prepared.preparation_record import PreparationRecord
from gpo_vae_jax.data.prepared.store import store_writer as writer
from gpo_vae_jax.data.prepared.store.elements import Elements
from gpo_vae_jax.data.prepared.store.store_record import (
    StoreRecord,
    read_record_of,
    source_of,
)
from gpo_vae_jax.data.prepared.store.stored_rows import ArrayFile, StoredRows
from gpo_vae_jax.files import written_beside
from gpo_vae_jax.types import Dataset, InputStatistics

_SUMMARY = "statistics.npz"


class StoredCells(NamedTuple):
    """The matrices of all cells of a prepared file, on disk."""

    folder: Path
    counts: StoredRows  # [N, G]
    counterfactual: StoredRows  # [N, G]
    delta: StoredRows  # [N, T]
    summary: Summary | None  # what was computed from them before


def opened(
    folder: Path, path: Path, cells: Elements, record: PreparationRecord, *, shown: bool = False
) -> StoredCells:
    """Return the cells on disk; they are written first unless the folder fits the file.

    Args:
      folder: of the cells.
      path: the prepared file.
      cells: its parts.
      record: how it was prepared.
      shown: whether progress is shown on standard error, and why the cells are written.

    Raises:
      DataError: as `store_writer.write_store`.
    """
    genes = list(map(str, cells.var_names))
    source = source_of(path, [record.treatments, record.n_perturbed, genes])
    made, why = read_record_of(folder, source)
    if made is None:
        if shown:
            print(f"{folder}: the cells are written to disk: {why}", file=sys.stderr, flush=True)
        made = writer.write_store(folder, cells, record, source, shown=shown)
    return _stored_cells(folder, made, writer.network_columns(record.treatments, genes))


def keep_summary(stored: StoredCells, dataset: Dataset, library: np.ndarray) -> None:
    """Keep what was computed from all cells beside them, unless it is there already.

    A folder that is read-only stays as it is.

    Args:
      stored: the cells.
      dataset: made from them.
      library: [N] float64 library sizes.
    """
    if stored.summary is not None:
        return
    statistics = dataset.splits["train"].context.statistics
    tables = {f"table_{name}": table for name, table in dataset.tables.items()}
    try:
        with (
            written_beside(stored.folder / _SUMMARY) as part,
            open(part, "wb") as file,
        ):
            arrays: dict[str, Any] = {"library": library, **statistics._asdict(), **tables}
            np.savez(file, **arrays)
    except OSError:
        return


def _stored_cells(folder: Path, made: StoreRecord, columns: np.ndarray) -> StoredCells:
    def file(name: str) -> ArrayFile:
        array = made.arrays[name]
        return ArrayFile(folder / name, array.columns, np.dtype(array.dtype))

    counts = made.arrays[writer.COUNTS]
    every = np.arange(counts.rows)
    place = np.full(counts.columns, -1)
    place[columns] = np.arange(len(columns))
    places = np.fromfile(folder / writer.PLACES, np.int64)
    return StoredCells(
        folder,
        StoredRows(file(writer.COUNTS), every, (file(writer.COLUMNS), place)),
        StoredRows(file(writer.COUNTERFACTUAL), places, None),
        StoredRows(file(writer.DELTA), every, None),
        _summary(folder, counts.rows),
    )


def _summary(folder: Path, n_cells: int) -> Summary | None:
    """Return what was kept beside the cells; None where nothing was, or it is damaged."""
    try:
        with open(folder / _SUMMARY, "rb") as file, np.load(file, allow_pickle=False) as found:
            values: Mapping[str, np.ndarray] = dict(found)
        summary = Summary(
            values["library"],
            InputStatistics(*(values[name] for name in InputStatistics._fields)),
            {name: values[f"table_{name}"] for name in ("train", "test")},
        )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return summary if summary.library.shape == (n_cells,) else None
