"""Cells of several batches at a time, read by threads ahead of the steps that need them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gpo_vae_jax.memory import items_within
from gpo_vae_jax.types import Array, Batch

MOST_STEPS = 16  # batches of a request
REQUEST_BYTES = 1 << 26  # of a request; one batch may take more
AHEAD = 2  # requests that are read at a time, each by a thread; more read no faster

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


class Request(NamedTuple):
    """Some batches of an epoch, in order."""

    first: int  # number of the first batch
    rows: np.ndarray  # [k, B] the cells of each batch
    filled: np.ndarray  # [k, B] False for cells that only fill a batch


def requests(rows: np.ndarray, filled: np.ndarray, bytes_per_cell: int) -> list[Request]:
    """Cut the batches of an epoch into requests of bounded size.

    All have the same number of batches where one of at least half the largest divides the epoch;
    else the last is shorter, and is compiled for.

    Args:
      rows: [n, B] the cells of each batch.
      filled: [n, B] False for cells that only fill a batch.
      bytes_per_cell: that are read.
    """
    n, size = rows.shape
    most = min(n, MOST_STEPS, items_within(REQUEST_BYTES, size * bytes_per_cell))
    k = next((k for k in range(most, most // 2, -1) if n % k == 0), most)
    return [Request(at, rows[at : at + k], filled[at : at + k]) for at in range(0, n, k)]


def read_cells(cells: Batch, rows: np.ndarray, left_out: Collection[str] = ()) -> Batch:
    """Read the cells of some batches from host memory or from disk.

    Args:
      cells: of a split.
      rows: [k, B] rows of the split.
      left_out: fields that nothing will look at; they come back without columns.

    Returns:
      The batches, each field with axes [k, B], as arrays in host memory.
    """
    at = rows.ravel()

    def read(name: str, values: Array) -> np.ndarray:
        if name in left_out:
            return np.zeros((*rows.shape, 0), values.dtype)
        return np.asarray(values[at]).reshape(*rows.shape, *values.shape[1:])

    given = cells._asdict()
    found: dict[str, Any] = {n: None if v is None else read(n, v) for n, v in given.items()}
    return Batch(**found)


def bytes_of_a_cell(cells: Batch, left_out: Collection[str] = ()) -> int:
    """Return the bytes that are read of a cell."""
    found = [v for n, v in cells._asdict().items() if v is not None and n not in left_out]
    return sum(int(np.prod(v.shape[1:])) * np.dtype(v.dtype).itemsize for v in found)


def in_advance(
    read: Callable[[_Item], _Found], items: Iterable[_Item], ahead: int = AHEAD
) -> Generator[_Found, None, None]:
    """Yield read(item) of each item in order; `ahead` of them are read while one is used.

    An error of a read is raised in its turn. Leaving the loop early ends the threads.
    """
    waiting: deque[Future[_Found]] = deque()
    pool = ThreadPoolExecutor(ahead, thread_name_prefix="cells")
    try:
        for item in items:
            waiting.append(pool.submit(read, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
