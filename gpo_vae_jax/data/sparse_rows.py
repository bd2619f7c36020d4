"""A sparse count matrix assembled from blocks of rows in any order."""

from __future__ import annotations

import numpy as np
from scipy import sparse


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
