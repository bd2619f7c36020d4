"""The matrix of counts, dense, sparse or on disk: checks, narrow copies, log-normalisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from gpo_vae_jax.data.sparse_rows import SparseRows
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.memory import DENSE_GIB, items_within, numbers_within, pieces

_CHUNK_VALUES = numbers_within(DENSE_GIB, 8)
_LARGEST = np.iinfo(np.uint32).max

CountMatrix = Any  # np.ndarray, a scipy.sparse matrix, or a matrix of a backed AnnData; [N, G]


def row_chunks(shape: tuple[int, int], chunk_values: int = _CHUNK_VALUES) -> Iterator[slice]:
    """Cut N rows of G values into slices of bounded size."""
    return pieces(shape[0], items_within(chunk_values, shape[1]))


def by_rows(matrix: CountMatrix) -> CountMatrix:
    """Return the matrix in a form whose rows are cheap to slice."""
    if getattr(matrix, "format", "") == "csr" or not hasattr(matrix, "format"):
        return matrix
    return (matrix if sparse.issparse(matrix) else matrix.to_memory()).tocsr()


def dense_rows(matrix: CountMatrix, rows: slice | np.ndarray) -> np.ndarray:
    """Return some rows as a dense array."""
    part = matrix[rows]
    return part.toarray() if sparse.issparse(part) else np.asarray(part)


def columns(matrix: CountMatrix, which: np.ndarray) -> np.ndarray:
    """Return some columns, [N, len(which)], as a dense array."""
    part = matrix[:, which]
    return part.toarray() if sparse.issparse(part) else np.asarray(part)


def check_values(values: np.ndarray, where: str) -> None:
    """Raise DataError unless every value is a count: finite, at least 0, an integer."""
    if values.dtype.kind in "ub":
        return
    if values.dtype.kind not in "if":
        raise DataError(f"{where} holds values of type {values.dtype}, not numbers")
    if values.dtype.kind == "f":
        bad = ~np.isfinite(values)
        if bad.any():
            raise DataError(f"{where} holds {int(bad.sum())} values that are NaN or infinite")
    if values.size and values.min() < 0:
        raise DataError(
            f"{where} holds negative values (as low as {values.min():g}): it must hold raw counts, "
            "not scaled or centred expression"
        )
    if values.dtype.kind == "f":
        fraction = values != np.floor(values)
        if fraction.any():
            raise DataError(
                f"{where} holds values that are not whole numbers (such as {values[fraction][0]:g})"
                ": it must hold raw UMI counts, not normalised expression; if a layer holds the "
                "raw counts, name it in config.prepare.layer"
            )
    if values.size and values.max() > _LARGEST:
        raise DataError(f"{where} holds a count above {_LARGEST}")


def check_counts(matrix: CountMatrix, where: str = "X") -> None:
    """Raise DataError unless the whole matrix holds counts; a sparse one is not made dense."""
    if sparse.issparse(matrix):
        for part in pieces(len(matrix.data), _CHUNK_VALUES):
            check_values(matrix.data[part], where)
        return
    for rows in row_chunks(matrix.shape):
        part = matrix[rows]
        check_values(part.data if sparse.issparse(part) else np.asarray(part), where)


def narrow(matrix: CountMatrix, where: str = "counts") -> np.ndarray:
    """Return the counts dense, [N, G], in the narrowest unsigned type (uint8, 16, 32) holding them.

    Works in chunks of rows: memory stays near the result. Raises DataError (see check_values).
    """
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


def narrow_copy(matrix: CountMatrix, rows: np.ndarray) -> CountMatrix:
    """Return some rows with narrow values, sparse (CSR) where the matrix is sparse, else dense.

    `rows` are distinct, in any order. The matrix, which may be on disk, is read once, in chunks.
    """
    matrix = by_rows(matrix)
    place = np.full(matrix.shape[0], -1, np.int64)
    place[rows] = np.arange(len(rows))
    shape = (len(rows), matrix.shape[1])
    result = SparseRows(shape) if hasattr(matrix, "format") else np.zeros(shape, np.uint8)
    for chunk in row_chunks(matrix.shape):
        wanted = place[chunk] >= 0
        if not wanted.any():
            continue
        part = matrix[chunk][wanted]
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
    """Sum the counts of each cell, [N] float64."""
    matrix = by_rows(matrix)
    sums = [matrix[rows].sum(axis=1, dtype=np.float64) for rows in row_chunks(matrix.shape)]
    return np.concatenate([np.zeros(0), *(np.asarray(part).ravel() for part in sums)])


def genes_per_cell(matrix: CountMatrix) -> np.ndarray:
    """Count the genes with a count in each cell, [N] float64."""
    matrix = by_rows(matrix)
    numbers = []
    for rows in row_chunks(matrix.shape):
        part = matrix[rows]
        found = (part != 0).sum(axis=1) if sparse.issparse(part) else np.count_nonzero(part, axis=1)
        numbers.append(np.asarray(found).ravel())
    return np.concatenate([np.zeros(0), *numbers])


def normalisation(library: np.ndarray) -> np.ndarray:
    """Return the factor, [N], that brings each cell to the median library size of all cells.

    A cell without any count gets 0 and does not enter the median. Raises DataError when no cell
    has a count.
    """
    counted = library > 0
    if not counted.any():
        raise DataError("no cell has a single count")
    median = np.median(library[counted])
    return np.divide(median, library, out=np.zeros(library.shape), where=counted)


def log_normalised(values: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return log(1 + counts * factor) of dense counts [N, ...] in float64 (docs/method.md 1)."""
    return np.log1p(values * factor.reshape(-1, *([1] * (values.ndim - 1))))


def gene_columns(names, genes) -> np.ndarray:
    """Find the column of each name among the genes, -1 where it is not measured."""
    position = {gene: i for i, gene in enumerate(genes)}
    return np.array([position.get(name, -1) for name in names], np.int64)
