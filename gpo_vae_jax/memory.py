"""Chunk sizes: how much of a piece of work fits into a given memory, and the pieces."""

from __future__ import annotations

from collections.abc import Iterator

DENSE_GIB = 0.125  # of a dense float64 copy that preparation makes at a time


def numbers_within(gib: float, bytes_each: int = 4) -> int:
    """Return how many numbers fit into a memory of `gib` GiB; by default float32 ones."""
    return int(gib * 2**30 / bytes_each)


def items_within(numbers: int, numbers_each: int) -> int:
    """Return how many items of `numbers_each` numbers fit into `numbers`, at least 1."""
    return max(1, numbers // max(1, numbers_each))


def pieces(n: int, step: int) -> Iterator[slice]:
    """Cut 0..n into slices of `step`, the last one shorter."""
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
