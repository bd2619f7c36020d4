"""A tiny data set of random counts, enough to train on for a few epochs."""

import numpy as np

from gpo_vae_jax import data
from gpo_vae_jax.types import Dataset


def tiny_dataset(n_cells: int = 150, n_genes: int = 12, seed: int = 0) -> Dataset:
    """Return cells with 3 perturbations of 5 treatments, controls, and failed cells."""
    random = np.random.default_rng(seed)
    n_treatments, n_perturbed = 5, 3
    group = np.arange(n_cells) % (n_perturbed + 2)  # the last two groups are controls
    dosage = np.zeros((n_cells, n_treatments), np.float32)
    perturbed = group < n_perturbed
    dosage[perturbed, group[perturbed]] = 1
    counts = random.poisson(random.gamma(2.0, 3.0, n_genes), (n_cells, n_genes))
    counts[perturbed, group[perturbed]] //= 5
    return data.from_arrays(
        counts=counts,
        dosage=dosage,
        qc_fail=(random.random((n_cells, 1)) < 0.2).astype(np.uint8),
        counterfactual=random.poisson(4.0, (n_cells, n_genes)),
        delta=random.gamma(1.0, 0.5, (n_cells, n_treatments)).astype(np.float32),
        split=np.array(["train", "train", "train", "val", "test"])[random.permutation(n_cells) % 5],
        treatments=[f"T{i}" for i in range(n_treatments)],
        n_perturbed=n_perturbed,
        genes=[f"T{i}" for i in range(n_treatments)]
        + [f"G{i}" for i in range(n_genes - n_treatments)],
    )
