"""Mean and standard deviation of each gene over the training cells."""

from __future__ import annotations

import numpy as np

from gpo_vae_jax.data.counts import CountMatrix, row_chunks
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.statistics.moments import Moments
from gpo_vae_jax.types import InputStatistics


def input_statistics(counts: CountMatrix) -> InputStatistics:
    """Return mean and unbiased standard deviation of counts [N, G] and of log(counts + 1).

    The counts are an array, or on disk.

    Computed in float64, chunk by chunk, and returned as float32. A gene without variance gets the
    standard deviation 1 (docs/method.md 9). Raises DataError for fewer than two cells.
    """
    if len(counts) < 2:
        raise DataError(f"the training split has {len(counts)} cells: at least 2 are needed")
    plain, logged = Moments(counts.shape[1:]), Moments(counts.shape[1:])
    low, high = counts[0], counts[0]
    table = None
    if counts.dtype.kind == "u" and counts.dtype.itemsize <= 2:
        table = np.log1p(np.arange(np.iinfo(counts.dtype).max + 1, dtype=np.float64))
    for rows in row_chunks(counts.shape, 1 << 22):
        part = counts[rows]
        low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
        plain.add(part)
        logged.add(np.log1p(part.astype(np.float64)) if table is None else table[part])
    constant = low == high
    found = [
        values
        for moments in (plain, logged)
        for values in (moments.mean, np.where(constant, 1.0, moments.std()))
    ]
    return InputStatistics(*(values.astype(np.float32) for values in found))
