"""Baselines for predicted effects: what needs no model, and half against half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gpo_vae_jax.evaluate.effects.observed_effects import (
    SCALE,
    TRANSFORMS,
    GroupSums,
    batch_shifts,
    effects_of,
    group_sums,
    label_numbers,
    standard_errors_of,
)
from gpo_vae_jax.types import Dataset

_LEAST_LEFT = 1e-2  # share of a perturbed gene's counts, so that its logarithm is finite


def halves_of(
    dataset: Dataset, labels: tuple[str, ...], seed: int, split: str = "train"
) -> tuple[GroupSums, GroupSums]:
    """Split the cells of each label in one split into random halves and sum each half.

    Groups are `labels`, then the control. A cell's half depends on its name and the seed only; an
    odd cell goes to the first half.
    """
    names = [*labels, dataset.conventions.control]
    number = label_numbers(dataset.labels[split], names)
    cells = np.asarray(dataset.cells[split], dtype=str)
    second = np.zeros(len(cells), bool)
    draw = np.empty(len(cells))
    draw[np.argsort(cells)] = np.random.default_rng(seed).random(len(cells))
    for group in range(len(names)):
        rows = np.flatnonzero(number == group)
        rows = rows[np.argsort(draw[rows], kind="stable")]
        second[rows[-(-len(rows) // 2) :]] = True
    of_split, shifts = dataset.splits[split], batch_shifts(dataset, split)
    return (
        group_sums(of_split, np.where(second, -1, number), len(names), shifts=shifts),
        group_sums(of_split, np.where(second, number, -1), len(names), shifts=shifts),
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


def additive(effects: np.ndarray, groups: Sequence[tuple[str, ...]]) -> np.ndarray:
    """Return for each perturbation the sum of its genes' single effects, [C, G].

    A gene that is not perturbed alone in training adds nothing; nan where none of them is.

    Args:
      effects: [C, G] mean effects in training cells, nan without any.
      groups: [C] the perturbed genes of each perturbation.
    """
    known = set(np.flatnonzero(np.isfinite(effects).all(axis=1)).tolist())
    alone = {group[0]: i for i, group in enumerate(groups) if len(group) == 1 and i in known}
    result = np.full(effects.shape, np.nan)
    for i, group in enumerate(groups):
        found = [alone[gene] for gene in group if gene in alone]
        if found:
            result[i] = effects[found].sum(axis=0)
    return result


def knockdown_only(
    dataset: Dataset, labels: Sequence[str], train: GroupSums
) -> dict[str, np.ndarray]:
    """Return effects on the perturbed genes alone, [C, G] by transform; no other gene changes.

    Perturbed genes of control cells are scaled by one factor: the geometric mean over the single
    perturbations of training of what is left of their own gene's counts.

    Args:
      dataset: its training control cells are scaled.
      labels: C perturbations.
      train: sums of the training cells of each label, then of the control.

    Returns:
      nan everywhere without control cells in training.
    """
    column = {gene: i for i, gene in enumerate(dataset.genes)}
    groups = [dataset.label_genes[label] for label in labels]
    own = sorted({column[gene] for group in groups for gene in group if gene in column})
    factor = _left_of_own_genes(train, groups, column)
    cells = dataset.splits["train"].cells
    control = np.flatnonzero(dataset.labels["train"] == dataset.conventions.control)
    if not len(control):
        nothing = np.full((len(labels), len(dataset.genes)), np.nan)
        return dict.fromkeys(TRANSFORMS, nothing)
    counts = np.asarray(cells.counts[np.ix_(control, np.asarray(own, int))], np.float64)
    size = np.maximum(np.asarray(cells.library_size, np.float64)[control], 1)
    scaled = counts * (SCALE / size)[:, None]
    of_genes = {
        "perturbseq": (np.log2(1 + factor * scaled) - np.log2(1 + scaled)).mean(axis=0),
        "mean": (factor - 1) * counts.mean(axis=0),
    }
    change = {}
    for name in TRANSFORMS:
        change[name] = np.zeros((len(labels), len(dataset.genes)))
        of_gene = dict(zip(own, of_genes[name], strict=True))
        for effects, group in zip(change[name], groups, strict=True):
            at = [column[gene] for gene in group if gene in column]
            effects[at] = [of_gene[i] for i in at]
    return change


def _left_of_own_genes(
    train: GroupSums, groups: Sequence[tuple[str, ...]], column: Mapping[str, int]
) -> float:
    """Return the geometric mean share of a perturbed gene's counts that is left; 1 if unknown."""
    share = train.sums["mean"] / np.maximum(train.sums["mean"].sum(axis=1, keepdims=True), 1)
    left = [
        share[i, column[group[0]]] / share[-1, column[group[0]]]
        for i, group in enumerate(groups)
        if len(group) == 1 and train.n_cells[i] and share[-1, column.get(group[0], 0)] > 0
        if group[0] in column
    ]
    return float(np.exp(np.log(np.maximum(left, _LEAST_LEFT)).mean())) if left else 1.0


class Ceiling(NamedTuple):
    """Effects in two halves of some cells, [C, G] by transform; their agreement shows the noise."""

    observed: Mapping[str, np.ndarray]
    predicted: Mapping[str, np.ndarray]
    error: Mapping[str, np.ndarray]  # standard errors of `observed`


def ceiling(halves: tuple[GroupSums, GroupSums]) -> Ceiling:
    """Return the effects of both halves; how well one predicts the other shows the noise."""
    first, second = halves
    return Ceiling(effects_of(first), effects_of(second), standard_errors_of(first))
