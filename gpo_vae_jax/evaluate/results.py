"""What an evaluation finds: plain numbers for JSON and CSV, arrays for AnnData and plots."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd


@dataclasses.dataclass(frozen=True)
class Effects:
    """Hold average treatment effects of C perturbations on G genes (docs/method.md 8).

    Every array is [C, G] in units of the transform (`perturbseq`: log2 of counts per 10,000;
    `mean`: counts), each by transform: `model["perturbseq"]`. nan where a group has no cells.
    """

    labels: tuple[str, ...]  # C perturbations, as the data names them
    genes: tuple[str, ...]
    model: dict[str, np.ndarray]
    spread: dict[str, np.ndarray]  # standard deviation of the model's effect over particles
    reference: dict[str, np.ndarray]  # of all cells
    held_out: dict[str, np.ndarray]  # of test cells
    train_mean: dict[str, np.ndarray]  # of training cells: the baseline of each perturbation
    n_cells: dict[str, np.ndarray]  # by split: [C] cells


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Hold all that was found of one run; `summary` is what evaluation.json holds."""

    summary: dict[str, Any]
    effects: Effects
    probabilities: np.ndarray  # [T, T]
    treatments: tuple[str, ...]
    n_perturbed: int
    edges: pd.DataFrame  # edges.csv
    regulators: pd.DataFrame  # regulators.csv
    curve: pd.DataFrame  # matched edge counts: edges, mean_wasserstein, true_positive_share, ...
    history: pd.DataFrame | None  # metrics.csv of the run
