"""What a model's effects are measured against: means of the training cells, and the noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gpo_vae_jax.evaluate.effects.observed_effects import (
    GroupSums,
    effects_of,
    group_sums,
    label_numbers,
)
from gpo_vae_jax.types import Dataset


def halves_of_training(
    dataset: Dataset, labels: tuple[str, ...], seed: int
) -> tuple[GroupSums, GroupSums]:
    """Sum a random half of the training cells of each label, and the other half.

    Groups are `labels`, then the control. A cell's half hangs on its name and the seed; the first
    half has the odd cell.
    """
    names = [*labels, dataset.conventions.control]
    number = label_numbers(dataset.labels["train"], names)
    cells = np.asarray(dataset.cells["train"], dtype=str)
    second = np.zeros(len(cells), bool)
    draw = np.empty(len(cells))
    draw[np.argsort(cells)] = np.random.default_rng(seed).random(len(cells))
    for group in range(len(names)):
        rows = np.flatnonzero(number == group)
        rows = rows[np.argsort(draw[rows], kind="stable")]
        second[rows[-(-len(rows) // 2) :]] = True
    split = dataset.splits["train"]
    return (
        group_sums(split, np.where(second, -1, number), len(names)),
        group_sums(split, np.where(second, number, -1), len(names)),
    )


def global_mean(effects: np.ndarray) -> np.ndarray:
    """Return every perturbation the mean effect over perturbations, [C, G].

    Each perturbation counts the same, however many cells it has; those without cells (nan) do not.
    """
    known = np.isfinite(effects).all(axis=1)
    if not known.any():
        return np.full(effects.shape, np.nan)
    return np.broadcast_to(effects[known].mean(axis=0), effects.shape)


def ceiling(halves: tuple[GroupSums, GroupSums]) -> tuple[Mapping, Mapping]:
    """Return the effects of both halves: how well one tells the other is as good as it gets."""
    first, second = halves
    return effects_of(first), effects_of(second)
