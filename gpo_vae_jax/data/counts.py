"""The count matrix, dense, sparse or on disk: checks, narrow copies, log-normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

from gpo_vae_jax.data.prepared.store.stored_rows import StoredRows
from gpo_vae_jax.data.sparse_rows import SparseRows, check_parts
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.memory import DENSE_GIB, items_within, numbers_within, pieces

_CHUNK_VALUES = numbers_within(DENSE_GIB, 8)
_LARGEST = np.iinfo(np.uint32).max
_NARROW = (np.uint8, np.uint16, np.uint32)

CountMatrix = Any  # np.ndarray, a scipy.sparse matrix, or a matrix of a backed AnnData; [N, G]


def row_chunks(shape: tuple[int, int], chunk_values: int = _CHUNK_VALUES) -> Iterator[slice]:
    """Cut N rows of G values into slices of bounded size."""
    return pieces(shape[0], items_within(chunk_values, shape[1]))


def by_rows(matrix: CountMatrix) -> CountMatrix:
    """Return the matrix in a format with cheap row slices; a backed CSC matrix is read whole."""
    if getattr(matrix, "format", "") == "csr" or not hasattr(matrix, "format"):
        return matrix
    return (matrix if sparse.issparse(matrix) else matrix.to_memory()).tocsr()


def dense_rows(matrix: CountMatrix, rows: slice | np.ndarray) -> np.ndarray:
    """Return some rows, [n, G], as a dense array."""
    part = matrix[rows]
    return part.toarray() if sparse.issparse(part) else np.asarray(part)


def columns(matrix: CountMatrix, which: np.ndarray) -> np.ndarray:
    """Return some columns, [N, len(which)], as a dense array."""
    part = matrix[:, which]
    return part.toarray() if sparse.issparse(part) else np.asarray(part)


def check_values(values: np.ndarray, where: str, *, fractions: bool = False) -> None:
    """Raise DataError unless every value is a count: a whole number from 0 to 2^32 - 1.

    `where` names the values in the message, such as "layer 'counts'". `fractions` may be allowed.
    """
    if values.dtype.kind == "b" or values.dtype in _NARROW:
        return
    if values.dtype.kind not in "iuf":
        raise DataError(f"{where} has {values.dtype} values, not numbers")
    if values.dtype.kind == "f":
        bad = ~np.isfinite(values)
        if bad.any():
            raise DataError(f"{where} has {int(bad.sum())} values that are NaN or infinite")
    if values.size and values.min() < 0:
        raise DataError(
            f"{where} has negative values (down to {values.min():g}): raw counts are needed, not "
            "scaled or centred expression"
        )
    if values.dtype.kind == "f" and not fractions:
        fraction = values != np.floor(values)
        if fraction.any():
            raise DataError(
                f"{where} has values that are not whole numbers (such as {values[fraction][0]:g})"
                ": raw UMI counts are needed, not normalised expression; if a layer has them, "
                "name it in config.prepare.layer"
            )
    if values.size and float(values.max()) > _LARGEST:
        raise DataError(f"{where} has a count above {_LARGEST}")


def check_counts(matrix: CountMatrix, where: str = "X", *, fractions: bool = False) -> None:
    """Raise DataError unless every value of the matrix is a count (see check_values).

    A sparse matrix is not made dense, and its parts must fit together (see check_parts).
    """
    check_parts(matrix, where)
    if sparse.issparse(matrix):
        for part in pieces(len(matrix.data), _CHUNK_VALUES):
            check_values(matrix.data[part], where, fractions=fractions)
        return
    for rows in row_chunks(matrix.shape):
        part = matrix[rows]
        values = part.data if sparse.issparse(part) else np.asarray(part)
        check_values(values, where, fractions=fractions)


def narrow(matrix: CountMatrix, where: str = "counts") -> Any:
    """Return the counts as a dense array, [N, G], in the narrowest of uint8, uint16 and uint32.

    Works in chunks of rows, so that the peak memory is about that of the result; an array that is
    narrow already is returned as it is, and so is a matrix of the cells on disk, which are written
    narrow. Raises DataError for values that are not counts (see check_counts).
    """
    if isinstance(matrix, StoredRows) or _is_narrow(matrix):
        return matrix
    check_parts(matrix, where)
    matrix = by_rows(matrix)
    result = np.zeros(matrix.shape, np.uint8)
    for rows in row_chunks(matrix.shape):
        part = dense_rows(matrix, rows)
        check_values(part, where)
        largest = int(part.max(initial=0))
        if largest > np.iinfo(result.dtype).max:
            result = result.astype(np.min_scalar_type(largest))
        result[rows] = part
    return result


def _is_narrow(matrix: CountMatrix) -> bool:
    if not isinstance(matrix, np.ndarray) or matrix.dtype not in _NARROW:
        return False
    return np.min_scalar_type(int(matrix.max(initial=0))) == matrix.dtype


def narrow_copy(
    matrix: CountMatrix,
    rows: np.ndarray,
    change: Callable[[CountMatrix, np.ndarray], CountMatrix] | None = None,
    n_columns: int | None = None,
) -> CountMatrix:
    """Return some rows, in the narrowest unsigned type: CSR if the matrix is sparse, else dense.

    The matrix may be on disk; it is read once, in chunks.

    Args:
      matrix: [N, G] counts.
      rows: distinct row numbers, in any order.
      change: applied to each chunk and its row numbers: another CSR or dense matrix.
      n_columns: of the matrix that `change` returns.
    """
    matrix = by_rows(matrix)
    place = np.full(matrix.shape[0], -1, np.int64)
    place[rows] = np.arange(len(rows))
    shape = (len(rows), matrix.shape[1] if n_columns is None else n_columns)
    result = SparseRows(shape) if hasattr(matrix, "format") else np.zeros(shape, np.uint8)
    for chunk in row_chunks(matrix.shape):
        wanted = place[chunk] >= 0
        if not wanted.any():
            continue
        part = matrix[chunk][wanted]
        if change is not None:
            part = change(part, np.arange(chunk.start, chunk.stop)[wanted])
        if isinstance(result, SparseRows):
            part = sparse.csr_matrix(part, copy=True)
            part.sum_duplicates()
            result.add(place[chunk][wanted], part)
        else:
            largest = np.min_scalar_type(int(part.max(initial=0)))
            result = result.astype(np.promote_types(result.dtype, largest), copy=False)
            result[place[chunk][wanted]] = part
    return result.matrix() if isinstance(result, SparseRows) else result


def library_size(matrix: CountMatrix) -> np.ndarray:
    """Return the library size of each cell, its total counts, [N] float64."""
    matrix = by_rows(matrix)
    sums = [matrix[rows].sum(axis=1, dtype=np.float64) for rows in row_chunks(matrix.shape)]
    return np.concatenate([np.zeros(0), *(np.asarray(part).ravel() for part in sums)])


def genes_per_cell(matrix: CountMatrix) -> np.ndarray:
    """Return the number of genes detected in each cell, [N] float64."""
    matrix = by_rows(matrix)
    numbers = []
    for rows in row_chunks(matrix.shape):
        part = matrix[rows]
        found = (part != 0).sum(axis=1) if sparse.issparse(part) else np.count_nonzero(part, axis=1)
        numbers.append(np.asarray(found).ravel())
    return np.concatenate([np.zeros(0), *numbers])


def normalisation(library: np.ndarray) -> np.ndarray:
    """Return the size factor of each cell, [N]: median library size / library size.

    Cells without counts get 0 and are left out of the median. Raises DataError if no cell has a
    count.
    """
    counted = library > 0
    if not counted.any():
        raise DataError("every count is 0")
    median = np.median(library[counted])
    return np.divide(median, library, out=np.zeros(library.shape), where=counted)


def log_normalised(values: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return log(1 + counts * factor), float64, of dense counts [N, ...] (docs/method.md 1)."""
    return np.log1p(values * factor.reshape(-1, *([1] * (values.ndim - 1))))


def gene_columns(names: Iterable[str], genes: Iterable[str]) -> np.ndarray:
    """Return the column of each name among the genes, -1 if it is not measured."""
    position = {gene: i for i, gene in enumerate(genes)}
    return np.array([position.get(name, -1) for name in names], np.int64)
