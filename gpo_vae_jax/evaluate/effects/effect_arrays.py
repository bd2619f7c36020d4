"""Average treatment effects as arrays: what the model predicts and what the data shows."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Effects:
    """Average treatment effects of C perturbations on G genes (docs/method.md 8.2).

    Every array is [C, G] by transform, such as `model["perturbseq"]`, in the transform's units
    (`perturbseq`: log2(1 + counts per 10,000), `mean`: counts); nan where a group has no cells.
    """

    labels: tuple[str, ...]  # C perturbations, as the data names them
    genes: tuple[str, ...]
    model: dict[str, np.ndarray]
    spread: dict[str, np.ndarray]  # standard deviation of the model's effect over particles
    reference: dict[str, np.ndarray]  # observed in all cells
    held_out: dict[str, np.ndarray]  # observed in test cells
    train_mean: dict[str, np.ndarray]  # observed in training cells: each perturbation's baseline
    n_cells: dict[str, np.ndarray]  # by split: [C] cells
