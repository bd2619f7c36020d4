"""Sparse count matrices: checks of their parts, and one assembled from blocks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.memory import DENSE_GIB, numbers_within, pieces

_PARTS = ("indptr", "indices", "data")
_ADVICE = "copy or write the file again"
_AT_A_TIME = numbers_within(DENSE_GIB, 8)


def check_parts(matrix: Any, where: str) -> None:
    """Raise DataError unless the parts of a CSR or CSC matrix fit together.

    scipy's compiled code trusts them, and anndata does not look: an index out of range ends the
    process. Other matrices pass. One on disk is read in pieces.

    Args:
      matrix: [N, G], in memory or backed by its file.
      where: its name in messages, such as "X".
    """
    if getattr(matrix, "format", "") not in ("csr", "csc") or isinstance(matrix, LazyRows):
        return
    group = getattr(matrix, "group", None)  # of a matrix on disk
    parts = {name: _part(matrix if group is None else group, name, where) for name in _PARTS}
    rows, columns = matrix.shape if matrix.format == "csr" else matrix.shape[::-1]
    indptr = np.asarray(parts["indptr"])
    stored = parts["indices"].shape[0]
    problem = ""
    if len(indptr) != rows + 1:
        problem = f"indptr has {len(indptr)} values; expected {rows + 1}"
    elif indptr[0] != 0 or indptr[-1] != stored or (indptr[1:] < indptr[:-1]).any():
        problem = f"indptr does not rise from 0 to the number of stored values, {stored}"
    elif parts["data"].shape[0] != stored:
        problem = f"data has {parts['data'].shape[0]} values, and indices has {stored}"
    for piece in pieces(0 if problem else stored, _AT_A_TIME):
        found = np.asarray(parts["indices"][piece])
        low, high = int(found.min()), int(found.max())
        if low < 0 or high >= columns:
            problem = f"indices has {low if low < 0 else high}; expected 0 to {columns - 1}"
            break
    if problem:
        raise DataError(f"{where} is a damaged sparse matrix: {problem}; {_ADVICE}")


def _part(matrix: Any, name: str, where: str) -> Any:
    """Return a part, an array in memory or on disk, after checking its shape and type."""
    on_disk = not hasattr(matrix, name)
    if on_disk and name not in matrix:
        raise DataError(f"{where} is a damaged sparse matrix: {name} is missing; {_ADVICE}")
    part = matrix[name] if on_disk else getattr(matrix, name)
    if len(getattr(part, "shape", ())) != 1:
        raise DataError(f"{where} is a damaged sparse matrix: {name} is no list; {_ADVICE}")
    if part.dtype.kind not in ("biuf" if name == "data" else "iu"):
        kind = "numbers" if name == "data" else "whole numbers"
        raise DataError(f"{where} has {part.dtype} values in {name}, not {kind}")
    if part.dtype == np.float16:
        raise DataError(f"{where} is sparse with float16 values, which scipy lacks; use float32")
    return part


class LazyRows:
    """The rows of a dask array, [N, G], computed as they are asked for, as CSR matrices.

    Whatever dask reads them from, a cluster's memory or many files, a block at a time is here.
    """

    format = "csr"

    def __init__(self, array: Any):
        self._array = array
        self.shape, self.dtype = tuple(array.shape), np.dtype(array.dtype)

    def __getitem__(self, at: Any) -> sparse.csr_matrix:
        return sparse.csr_matrix(self._array[at].compute())


def by_blocks(matrix: Any) -> Any:
    """Return a dask array as `LazyRows`, and any other matrix as it is."""
    return LazyRows(matrix) if hasattr(matrix, "dask") else matrix


class SparseRows:
    """Blocks of rows of a matrix [N, G], in any order; rows that are never added are empty.

    The blocks are kept in narrow types and freed as they are copied, so that the peak memory is
    below twice the result.
    """

    def __init__(self, shape: tuple[int, int]):
        """Start with an empty matrix of this shape."""
        self.shape = shape
        self._size = np.zeros(shape[0], np.int64)
        self._blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._column_type = np.min_scalar_type(max(shape[1] - 1, 0))
        self._type = np.dtype(np.uint8)

    def add(self, rows: np.ndarray, block: sparse.csr_matrix) -> None:
        """Add a block of counts [n, G], without duplicate entries, as the rows `rows` [n]."""
        values = block.data.astype(np.min_scalar_type(int(block.data.max(initial=0))))
        self._type = np.promote_types(self._type, values.dtype)
        self._size[rows] = np.diff(block.indptr)
        self._blocks.append((rows, block.indices.astype(self._column_type), values))

    def matrix(self) -> sparse.csr_matrix:
        """Return the matrix in the narrowest unsigned type, and free the blocks."""
        ends = np.cumsum(self._size)
        total = int(ends[-1]) if len(ends) else 0
        index_type = np.int32 if total <= np.iinfo(np.int32).max else np.int64
        data, columns = np.empty(total, self._type), np.empty(total, index_type)
        while self._blocks:
            rows, block_columns, values = self._blocks.pop()
            stop = 0
            for row in rows:
                start, stop = stop, stop + self._size[row]
                at = slice(ends[row] - self._size[row], ends[row])
                columns[at], data[at] = block_columns[start:stop], values[start:stop]
        pointers = np.concatenate([[0], ends]).astype(index_type)
        return sparse.csr_matrix((data, columns, pointers), self.shape)
