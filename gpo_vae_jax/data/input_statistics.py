"""Mean and spread of each gene, accumulated in float64."""

from __future__ import annotations

import numpy as np

from gpo_vae_jax.data.counts import row_chunks
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.types import InputStatistics


def input_statistics(counts: np.ndarray) -> InputStatistics:
    """Return mean and unbiased standard deviation of counts [N, G] and of log(counts + 1).

    Chunks are merged by Chan's formula in float64; the result is float32. A gene without variance
    gets the scale 1 (docs/method.md 9). Raises DataError for fewer than two cells.
    """
    if len(counts) < 2:
        raise DataError(f"the training split has {len(counts)} cells: at least 2 are needed")
    plain, logged = _Moments(counts.shape[1]), _Moments(counts.shape[1])
    low, high = counts[0], counts[0]
    table = None
    if counts.dtype.kind == "u" and counts.dtype.itemsize <= 2:
        table = np.log1p(np.arange(np.iinfo(counts.dtype).max + 1, dtype=np.float64))
    for rows in row_chunks(counts.shape, 1 << 22):
        part = counts[rows]
        low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
        plain.add(part.astype(np.float64))
        logged.add(np.log1p(part.astype(np.float64)) if table is None else table[part])
    constant = low == high
    return InputStatistics(*plain.mean_and_std(constant), *logged.mean_and_std(constant))


class _Moments:
    """Hold the running mean and sum of squared deviations of columns."""

    def __init__(self, n_columns: int):
        self.n = 0
        self.mean = np.zeros(n_columns)
        self.squares = np.zeros(n_columns)

    def add(self, part: np.ndarray) -> None:
        mean = part.mean(axis=0)
        squares = np.square(part - mean).sum(axis=0)
        n = self.n + len(part)
        shift = mean - self.mean
        self.squares += squares + np.square(shift) * (self.n * len(part) / n)
        self.mean += shift * (len(part) / n)
        self.n = n

    def mean_and_std(self, constant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both in float32, with the scale 1 for `constant` columns [n_columns]."""
        std = np.sqrt(self.squares / (self.n - 1)).astype(np.float32)
        return self.mean.astype(np.float32), np.where(constant, np.float32(1), std)
