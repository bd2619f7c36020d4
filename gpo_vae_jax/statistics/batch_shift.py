"""By how much the controls of each batch differ from all controls."""

from __future__ import annotations

import numpy as np


def batch_shift(sums: np.ndarray, n_cells: np.ndarray) -> np.ndarray:
    """Return the mean of each batch's control cells minus that of all of them, [b + 1, G].

    Batches without controls have 0, and so has the last row, for cells whose batch is unknown (-1).

    Args:
      sums: [b, G] over the control cells of each batch.
      n_cells: [b] control cells.
    """
    there = (n_cells > 0)[:, None]
    mean = np.divide(sums, n_cells[:, None], out=np.zeros(sums.shape), where=there)
    every = sums.sum(axis=0) / max(float(n_cells.sum()), 1.0)
    return np.concatenate([np.where(there, mean - every[None], 0), np.zeros((1, sums.shape[1]))])
