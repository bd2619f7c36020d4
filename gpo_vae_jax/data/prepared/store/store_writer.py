"""The matrices of a prepared file, written once as plain arrays: one row of a file for each cell.

A dense row is one read and needs no decoding. Counts have the narrowest unsigned type, as in
memory.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from gpo_vae_jax import progress as progress_of
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.prepared import cell_fields
from gpo_vae_jax.data.prepared.preparation_record import PreparationRecord
from gpo_vae_jax.data.prepared.store.elements import Elements
from gpo_vae_jax.data.prepared.store.store_record import StoredArray, StoreRecord, write_record
from gpo_vae_jax.data.prepared.store.stored_rows import ArrayFile, StoredRows
from gpo_vae_jax.data.sparse_rows import check_parts
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.files import folder_written_beside
from gpo_vae_jax.memory import DENSE_GIB, items_within, numbers_within, pieces

COUNTS, COUNTERFACTUAL, DELTA, COLUMNS, PLACES = (
    "counts.bin", "counterfactual.bin", "delta.bin", "network_genes.bin", "places.bin"
)  # fmt: skip
_BLOCK_VALUES = numbers_within(DENSE_GIB, 8)
_WIDEST_GUESS = 2  # bytes of a count whose type does not say


def write_store(
    folder: Path,
    cells: Elements,
    record: PreparationRecord,
    source: dict[str, Any],
    *,
    shown: bool = False,
) -> StoreRecord:
    """Write the folder in one pass over the file, beside its place, and rename it.

    Memory is that of some hundred rows, whatever the number of cells.

    Args:
      folder: replaced if it is there.
      cells: the parts of the prepared file.
      record: how it was prepared.
      source: what the folder's record says of the file.
      shown: whether a progress bar is shown.

    Raises:
      DataError: the disk has no room (nothing is written), the folder cannot be written, or the
        matrices are not those of a prepared file.
    """
    counts, counterfactual = _by_rows(cells, "X"), _by_rows(cells, "counterfactual")
    delta = cell_fields.delta_at(cells, record.treatments)
    check_room(folder, cells, record)
    try:
        with folder_written_beside(folder) as beside:
            arrays = _write(beside, cells, record, (counts, counterfactual, delta), shown)
            made = StoreRecord(source, arrays)
            write_record(beside, made)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise DataError(
            f"{folder}: the cells cannot be written to disk: {reason}; name another folder with "
            "config.data.store"
        ) from error
    return made


def check_room(folder: Path, cells: Elements, record: PreparationRecord) -> None:
    """Raise DataError unless the disk has room for the folder."""
    needed, place = bytes_needed(cells, len(record.treatments)), folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise DataError(
            f"{folder}: the disk has no room for the cells: {needed / 1e9:,.2f} GB are needed, "
            f"{free / 1e9:,.2f} GB are free; name a folder on another disk with config.data.store"
        )


def bytes_needed(cells: Elements, n_treatments: int) -> int:
    """Return the bytes that the folder takes, at most."""
    n, n_genes = cells.shape
    x, layer = cells.X, cells.layers["counterfactual"]
    per_cell = n_genes * _width(x) + n_treatments * (_width(x) + 4) + 8
    indptr = getattr(getattr(layer, "group", {}), "get", lambda name: None)("indptr")
    rows = n if indptr is None else int(np.count_nonzero(np.diff(indptr[:])))
    return n * per_cell + min(rows, n) * n_genes * _width(layer)


def _width(matrix: Any) -> int:
    dtype = np.dtype(matrix.dtype)
    return dtype.itemsize if dtype.kind == "u" and dtype.itemsize <= 4 else _WIDEST_GUESS


def _write(
    folder: Path,
    cells: Elements,
    record: PreparationRecord,
    matrices: tuple[Any, Any, Any],
    shown: bool,
) -> dict[str, StoredArray]:
    """Write all arrays; return them by name."""
    n, n_genes = cells.shape
    counts, counterfactual, delta = matrices
    places = np.full(n, -1, np.int64)
    bar = progress_of.bar(n, "cell", label="writing cells to disk", shown=shown)
    with (
        bar,
        _Rows(folder / COUNTS, n_genes) as of_counts,
        _Rows(folder / COUNTERFACTUAL, n_genes) as of_counterfactual,
        open(folder / DELTA, "wb") as of_delta,
    ):
        for rows in count_matrix.row_chunks((n, max(n_genes, len(record.treatments)))):
            of_counts.add(_checked(counts, rows, "X"))
            some, found = _rows_with_counts(counterfactual, rows)
            places[rows.start + some] = of_counterfactual.n_rows + np.arange(len(some))
            of_counterfactual.add(found)
            part = cell_fields.delta_rows(cells, np.asarray(delta[rows]), record.treatments)
            of_delta.write(np.nan_to_num(part, nan=0.0).data)
            bar.update(rows.stop - rows.start)
        made = {COUNTS: of_counts.made(), COUNTERFACTUAL: of_counterfactual.made()}
    places.tofile(folder / PLACES)
    columns = network_columns(record.treatments, list(cells.var_names))
    of_columns = StoredArray(len(columns), n, made[COUNTS].dtype)
    _write_columns(folder, made[COUNTS], columns)
    return {
        **made,
        DELTA: StoredArray(n, len(record.treatments), "float32"),
        COLUMNS: of_columns,
        PLACES: StoredArray(n, 1, "int64"),
    }


def network_columns(treatments: Sequence[str], genes: Sequence[str]) -> np.ndarray:
    """Return the columns of the measured treatments, ascending."""
    found = count_matrix.gene_columns(treatments, genes)
    return np.unique(found[found >= 0])


def _by_rows(cells: Elements, where: str) -> Any:
    """Return a matrix that gives its rows, after checks of shape, type and sparse parts."""
    matrix = cell_fields.matrix_at(cells, where)
    check_parts(matrix, cell_fields.field_of(where))
    return count_matrix.by_rows(matrix)


def _checked(matrix: Any, rows: slice, where: str) -> np.ndarray:
    part = count_matrix.dense_rows(matrix, rows)
    count_matrix.check_values(part, cell_fields.field_of(where))
    return part


def _rows_with_counts(matrix: Any, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return which of some rows have a count, and these rows, dense."""
    part, where = matrix[rows], cell_fields.field_of("counterfactual")
    if not sparse.issparse(part):
        part = np.asarray(part)
        if part.dtype.kind not in "biuf":  # NumPy before 2 cannot ask it for zeros
            count_matrix.check_values(part, where)
        some = np.flatnonzero(part.any(axis=1))
        found = part[some]
    else:
        some = np.flatnonzero(np.diff(part.indptr))
        found = part[some].toarray()
        filled = found.any(axis=1)
        some, found = some[filled], found[filled]
    count_matrix.check_values(found, where)
    return some, found


def _write_columns(folder: Path, counts: StoredArray, columns: np.ndarray) -> None:
    """Write the columns of the network genes, one after the other, from the file of counts."""
    n, dtype = counts.rows, np.dtype(counts.dtype)
    places = np.arange(n)
    matrix = StoredRows(ArrayFile(folder / COUNTS, counts.columns, dtype), places, None)
    with open(folder / COLUMNS, "wb") as file:
        file.truncate(len(columns) * n * dtype.itemsize)
        at_a_time = items_within(_BLOCK_VALUES * 4 // dtype.itemsize, len(columns))
        for rows in pieces(n if len(columns) else 0, at_a_time):
            block = np.ascontiguousarray(matrix[rows, columns].T)
            for i, column in enumerate(block):
                _write_at(file.fileno(), column, (i * n + rows.start) * dtype.itemsize)


def _write_at(number: int, values: np.ndarray, at: int) -> None:
    left = memoryview(values.data).cast("B")
    while len(left):
        n = os.pwrite(number, left, at)
        left, at = left[n:], at + n


class _Rows:
    """A file of rows of counts, whose type widens as larger counts come."""

    def __init__(self, path: Path, n_columns: int):
        self._path, self._n_columns, self._dtype = path, n_columns, np.dtype(np.uint8)
        self._file = path.open("wb")
        self.n_rows = 0

    def __enter__(self) -> _Rows:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, block: np.ndarray) -> None:
        """Append rows of counts, [n, C]."""
        needed = np.min_scalar_type(int(block.max(initial=0)))
        if needed.itemsize > self._dtype.itemsize:
            self._widen(needed)
        self._file.write(np.ascontiguousarray(block, self._dtype).data)
        self.n_rows += len(block)

    def made(self) -> StoredArray:
        """Flush, and return what the file holds."""
        self._file.flush()
        return StoredArray(self.n_rows, self._n_columns, self._dtype.name)

    def _widen(self, dtype: np.dtype) -> None:
        """Write the rows again in a wider type."""
        self._file.close()
        narrow = self._path.with_suffix(".narrow")
        self._path.rename(narrow)
        self._file = self._path.open("wb")
        with open(narrow, "rb") as file:
            while True:
                part = np.fromfile(file, self._dtype, _BLOCK_VALUES)
                if not part.size:
                    break
                self._file.write(part.astype(dtype).data)
        narrow.unlink()
        self._dtype = dtype
