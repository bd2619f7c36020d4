"""How much memory a preparation takes, before it begins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import sparse

from gpo_vae_jax.data.prepare.raw.normalised_values import sample_rows
from gpo_vae_jax.memory import available_bytes

# Measured where RPE1 was prepared in full: 6.6 GiB with 298 million nonzero counts
# (benchmarks/results/prepare.json); fewer cells kept, or no doublets looked for, take less.
BYTES_EACH = 24


def memory_in_words(matrix: Any) -> str:
    """Return what a preparation of these counts takes at its peak, beside what is available.

    Args:
      matrix: [N, F] raw counts, in memory or on disk.
    """
    counts = nonzero(matrix)
    peak, free = counts * BYTES_EACH / 2**30, available_bytes() / 2**30
    said = (
        f"about {peak:.2g} GiB of memory at the peak ({counts / 1e6:,.0f} million nonzero counts); "
        f"{free:.1f} GiB are available"
    )
    if peak > free:
        said += "; prepare fewer cells at a time, or on a machine with more"
    return said


def nonzero(matrix: Any) -> int:
    """Return the number of counts that are not 0, from a sample of rows where it is not stored."""
    if sparse.issparse(matrix):
        return int(matrix.nnz)
    group = getattr(matrix, "group", None)
    if group is not None and "data" in group:
        return int(group["data"].shape[0])
    if 0 in matrix.shape:
        return 0
    return round(float(np.mean(sample_rows(matrix) != 0)) * math.prod(matrix.shape))
