"""Cells in the memory of a GPU, smaller and without a loss: a batch is what it would be.

Counts are stored in the narrowest type that holds all of the split's: one count above 255 makes
all uint16. Cells that share a counterfactual row, such as those that have none, share its storage.
delta has few distinct values in a cell, because counts have: a table of them and a byte for each
treatment replace it. Each is done where it takes less memory.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.memory import DENSE_GIB, items_within, numbers_within, pieces
from gpo_vae_jax.types import Array, Batch, Split

_CODES = 256  # distinct values that a byte can name
_FIRST = 256  # cells that show whether a table can be worth its while
_AT_A_TIME = numbers_within(DENSE_GIB, 4)


class Shared(NamedTuple):
    """A matrix [N, C] some of whose rows are equal."""

    rows: Array  # [U, C], all different
    index: Array  # [N] int32, the row of each cell

    def take(self, cells: Array) -> Array:
        """Return the rows of some cells, [B, C]."""
        return _rows(self.rows, _rows(self.index, cells))


class Coded(NamedTuple):
    """A matrix [N, C] with few distinct values in each row."""

    values: Array  # [N, V] float32, filled up with zeros
    code: Array  # [N, C] uint8, positions in `values`

    def take(self, cells: Array) -> Array:
        """Return the rows of some cells, [B, C]."""
        values, code = _rows(self.values, cells), _rows(self.code, cells).astype(jnp.int32)
        return jnp.take_along_axis(values, code, axis=1, mode="clip")


def rows_of(cells: Batch, rows: Array) -> Batch:
    """Return some cells of a split, [B], compact or not, as plain arrays."""

    def take(values: Any) -> Array:
        return values.take(rows) if _is_compact(values) else _rows(values, rows)

    return jax.tree.map(take, cells, is_leaf=_is_compact)


def compact(split: Split) -> Split:
    """Return the split in host memory, its large fields in less memory where that is possible."""
    cells = split.cells
    fields: dict[str, Any] = {
        "counts": narrowed(cells.counts),
        "counterfactual": shared(narrowed(cells.counterfactual)),
        "delta": coded(cells.delta),
    }
    return Split(cells._replace(**fields), split.context)


def narrowed(counts: Array) -> np.ndarray:
    """Return counts in the narrowest unsigned type; other numbers as they are."""
    found = np.asarray(counts)
    if found.dtype.kind != "u" or not found.size:
        return found
    return found.astype(np.min_scalar_type(int(found.max())), copy=False)


def shared(matrix: np.ndarray) -> np.ndarray | Shared:
    """Return the distinct rows of a matrix [N, C], if that takes less memory."""
    places: dict[bytes, int] = {}
    firsts, index = [], np.zeros(len(matrix), np.int32)
    for i, row in enumerate(matrix):
        digest = hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=16).digest()
        index[i] = places.setdefault(digest, len(firsts))
        if index[i] == len(firsts):
            firsts.append(i)
    if len(firsts) * matrix[:1].nbytes + index.nbytes >= matrix.nbytes:
        return matrix
    return Shared(matrix[firsts], index)


def coded(matrix: Array) -> np.ndarray | Coded:
    """Return a matrix [N, C] as tables of values and codes, if that takes less memory.

    Values are told apart by their bits, so that a zero keeps its sign.
    """
    found = np.ascontiguousarray(matrix)
    if found.dtype != np.float32 or not found.size:
        return found
    n, columns = found.shape
    bits = found.view(np.uint32)
    most = min(_CODES, (3 * columns - 1) // 4)  # values for which 4 V + C < 4 C
    if most == 0 or _values_of(bits[:_FIRST])[1].max() > most:
        return found
    values, code, width = np.zeros((n, most), np.uint32), np.zeros((n, columns), np.uint8), 0
    for part in pieces(n, items_within(_AT_A_TIME, columns)):
        tables, numbers = _values_of(bits[part])
        width = max(width, int(numbers.max()))
        if width > most:
            return found
        ends = np.cumsum(numbers)
        for i, end, number in zip(range(part.start, part.stop), ends, numbers, strict=True):
            table = values[i, :number] = tables[end - number : end]
            code[i] = np.searchsorted(table, bits[i])
    return Coded(np.ascontiguousarray(values[:, :width]).view(np.float32), code)


def _values_of(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct values of each row in order, one row after the other, and how many."""
    ordered = np.sort(bits, axis=1)
    new = np.ones(ordered.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return ordered[new], new.sum(axis=1)


def _rows(values: Array, rows: Array) -> Array:
    return jnp.take(values, rows, axis=0, mode="clip")


def _is_compact(values: Any) -> bool:
    return isinstance(values, (Shared, Coded))
