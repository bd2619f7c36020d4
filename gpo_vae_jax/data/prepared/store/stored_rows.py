"""Rows of a matrix on disk, read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.memory import DENSE_GIB, items_within, numbers_within, pieces

_AT_A_TIME = numbers_within(DENSE_GIB, 1)


class ArrayFile:
    """A file of rows of equal size, opened at the first read; safe to read from several threads.

    Rows are read with `preadv` into arrays of our own: pages of a memory map would count as memory
    of the process.
    """

    def __init__(self, path: Path, n_columns: int, dtype: np.dtype):
        """Name the file; nothing is read."""
        self.path, self.n_columns, self.dtype = Path(path), n_columns, np.dtype(dtype)
        self._opened: int | None = None

    def read_into(self, out: np.ndarray, row: int) -> None:
        """Fill `out`, [n, n_columns], with the rows from `row` on (raises DataError)."""
        self.read_runs(out, [(0, len(out), row)])

    def read_runs(self, out: np.ndarray, runs: Iterable[tuple[int, int, int]]) -> None:
        """Fill out[start:end] with the rows from `row` on, for each (start, end, row).

        Raises:
          DataError: the file is missing, too short, or cannot be read.
        """
        width, whole, read = self.n_columns * self.dtype.itemsize, memoryview(out.data), os.preadv
        whole = whole.cast("B")
        try:
            number = self._file()
            for start, end, row in runs:
                at, last, place = start * width, end * width, row * width
                while at < last:
                    n = read(number, [whole[at:last]], place)
                    if not n:
                        raise OSError("it is shorter than its record says")
                    at, place = at + n, place + n
        except OSError as error:
            raise DataError(
                f"{self.path}: rows cannot be read: {error}; delete the folder, and it is written "
                "anew"
            ) from error

    def _file(self) -> int:
        if self._opened is None:
            self._opened = os.open(self.path, os.O_RDONLY)
        return self._opened

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def __del__(self) -> None:
        if self._opened is not None:
            os.close(self._opened)
            self._opened = None


class StoredRows:
    """A matrix [N, C] on disk that gives its rows as an array would.

    `matrix[rows]` reads those rows; `matrix[np.ix_(rows, columns)]` some columns of them. NumPy
    functions read it whole.
    """

    ndim = 2

    def __init__(
        self, file: ArrayFile, places: np.ndarray, by_column: tuple[ArrayFile, np.ndarray] | None
    ):
        """Choose rows of a file.

        Args:
          file: the rows.
          places: [N] the row of the file for each row of this matrix; -1: zeros.
          by_column: a file that holds some columns, one after the other, and [C] the place of each
            column in it, -1 for the others. Reading these columns does not read whole rows.
        """
        self._file, self._places, self._by_column = file, places, by_column
        self.dtype = file.dtype

    @property
    def shape(self) -> tuple[int, int]:
        """Return (N, C)."""
        return len(self._places), self._file.n_columns

    @property
    def nbytes(self) -> int:
        """Return the bytes that the array would take in memory."""
        return len(self._places) * self._file.n_columns * self.dtype.itemsize

    @property
    def size(self) -> int:
        """Return the number of values."""
        return len(self._places) * self._file.n_columns

    def __len__(self) -> int:
        return len(self._places)

    def choose(self, rows: np.ndarray) -> StoredRows:
        """Return some rows as another matrix; nothing is read."""
        return StoredRows(self._file, self._places[rows], self._by_column)

    def chunks(self) -> Iterator[np.ndarray]:
        """Read all rows in order, in arrays of bounded size."""
        for part in pieces(len(self), self.rows_at_a_time):
            yield self[part]

    @property
    def rows_at_a_time(self) -> int:
        """Return how many rows an array of bounded size has."""
        return items_within(_AT_A_TIME, self._file.n_columns * self.dtype.itemsize)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read rows: a number, a slice, an array of numbers or of bool, or rows and columns."""
        if isinstance(key, tuple):
            return self._block(*key)
        places = self._places[key]
        found = self._read(np.atleast_1d(places))
        return found if np.ndim(places) else found[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read everything into memory."""
        del copy
        found = self._read(self._places)
        return found if dtype is None else found.astype(dtype, copy=False)

    def _read(self, places: np.ndarray) -> np.ndarray:
        n_columns = self._file.n_columns
        out = np.empty((len(places), n_columns), self.dtype)
        if not out.size:
            return out
        # rows that follow each other in the file are one read
        new = (np.diff(places) != 1) | (places[1:] <= 0)
        starts = np.concatenate([[0], np.flatnonzero(new) + 1])
        ends, first = np.append(starts[1:], len(places)), places[starts]
        if (first < 0).any():
            out[places < 0] = 0
            there = first >= 0
            starts, ends, first = starts[there], ends[there], first[there]
        runs = zip(starts.tolist(), ends.tolist(), first.tolist(), strict=True)
        self._file.read_runs(out, runs)
        return out

    def _block(self, rows: Any, columns: Any) -> np.ndarray:
        """Return matrix[rows][:, columns], from the file of columns if it has them all."""
        rows = np.ravel(rows) if isinstance(rows, np.ndarray) else rows
        wanted = np.arange(self.shape[1])[np.ravel(columns) if np.ndim(columns) else columns]
        wanted = np.atleast_1d(wanted)
        places = np.atleast_1d(self._places[rows])
        out = np.empty((len(places), len(wanted)), self.dtype)
        by_column = self._by_column
        if by_column is not None and (by_column[1][wanted] >= 0).all():
            file, place = by_column
            column = np.empty((1, file.n_columns), file.dtype)
            for i, at in enumerate(place[wanted].tolist()):
                file.read_into(column, at)
                out[:, i] = column[0, places]
            return out
        for part in pieces(len(places), self.rows_at_a_time):
            out[part] = self._read(places[part])[:, wanted]
        return out


def chosen(matrix: Any, rows: np.ndarray) -> Any:
    """Return some rows of an array, or of a matrix on disk without reading them."""
    return matrix.choose(rows) if isinstance(matrix, StoredRows) else matrix[rows]
