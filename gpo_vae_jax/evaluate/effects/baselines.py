"""Baselines for predicted effects: means of the training cells, and half against half."""

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
    """Split the training cells of each label into random halves and sum each half.

    Groups are `labels`, then the control. A cell's half depends on its name and the seed only; an
    odd cell goes to the first half.
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
    """Return the mean effect over perturbations as the prediction for each of them, [C, G].

    Perturbations count equally, however many cells they have; those without cells (nan) are left
    out.
    """
    known = np.isfinite(effects).all(axis=1)
    if not known.any():
        return np.full(effects.shape, np.nan)
    return np.broadcast_to(effects[known].mean(axis=0), effects.shape)


def ceiling(halves: tuple[GroupSums, GroupSums]) -> tuple[Mapping, Mapping]:
    """Return the effects of both halves; how well one predicts the other shows the noise."""
    first, second = halves
    return effects_of(first), effects_of(second)
