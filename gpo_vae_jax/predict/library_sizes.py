"""Library sizes for generated cells."""

from __future__ import annotations

import numpy as np

from gpo_vae_jax.types import Dataset


def observed_library_sizes(dataset: Dataset, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Draw library sizes of training cells that passed quality control, of any shape, float32.

    They are drawn from all training cells where none passed.
    """
    cells = dataset.splits["train"].cells
    passed = ~(np.asarray(cells.qc_fail) != 0).any(axis=1)
    known = np.asarray(cells.library_size)[passed if passed.any() else slice(None)]
    drawn = np.random.default_rng(seed).choice(np.sort(known), shape)
    return np.asarray(drawn, np.float32)
