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
    model: dict[str, np.ndarray]  # the network's: latents of control cells under the perturbation
    spread: dict[str, np.ndarray]  # standard deviation of `fixed_library` over particles
    reference: dict[str, np.ndarray]  # observed in all cells
    held_out: dict[str, np.ndarray]  # observed in test cells
    train_mean: dict[str, np.ndarray]  # observed in training cells: each perturbation's baseline
    n_cells: dict[str, np.ndarray]  # by split: [C] cells
    network_depth: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    # the network's, at the library sizes of the perturbation's training cells
    own_cells: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    # latents and library sizes of the perturbation's own training cells
    fixed_library: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    # sampled cells of one library size, latents from the prior: the published protocol
    shrunk_mean: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    # `train_mean` shrunk by a two-component prior
    additive: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    # the single genes' training effects added up; nan where no gene is perturbed alone in training
    knockdown: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    # the perturbed genes alone change, by the factor of training
    observed_errors: dict[str, dict[str, np.ndarray]] = dataclasses.field(default_factory=dict)
    # standard errors of the observed effects by cells (reference, held_out), then transform
    errors: dict[str, dict[str, np.ndarray]] = dataclasses.field(default_factory=dict)
    # Monte-Carlo standard errors by prediction (model, network_depth, own_cells), then transform
