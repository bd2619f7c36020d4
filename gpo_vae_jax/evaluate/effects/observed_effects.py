"""Average treatment effects of observed cells, by label (docs/method.md 8.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from gpo_vae_jax.model.decoder import PER
from gpo_vae_jax.predict.conditions import Conditions, conditions_of
from gpo_vae_jax.statistics.batch_shift import batch_shift
from gpo_vae_jax.types import Dataset, Split

TRANSFORMS = ("perturbseq", "mean")
SCALE = PER  # total counts of a cell under `perturbseq`
_CHUNK_VALUES = 1 << 23  # dense values at a time


@dataclasses.dataclass(frozen=True)
class GroupSums:
    """Sums over the cells of M groups; those of disjoint sets of cells can be added."""

    sums: Mapping[str, np.ndarray]  # by transform, [M, G] float64
    squares: Mapping[str, np.ndarray]  # of the transformed counts, likewise
    n_cells: np.ndarray  # [M]

    def __add__(self, other: GroupSums) -> GroupSums:
        """Add the sums of two disjoint sets of cells."""
        sums = {name: values + other.sums[name] for name, values in self.sums.items()}
        squares = {name: values + other.squares[name] for name, values in self.squares.items()}
        return GroupSums(sums, squares, self.n_cells + other.n_cells)


class Shifts(NamedTuple):
    """By how much control cells of each category differ from all control cells."""

    category: np.ndarray  # [N] of each cell; -1: unknown
    shift: Mapping[str, np.ndarray]  # by transform, [categories + 1, G]; last: unknown ones


def group_sums(
    split: Split,
    groups: np.ndarray,
    n_groups: int,
    *,
    passed_only: bool = False,
    shifts: Shifts | None = None,
) -> GroupSums:
    """Sum the transformed counts of each group's cells, in chunks of rows.

    Args:
      split: the cells.
      groups: [N], the group of each cell, in 0..n_groups - 1, or -1 for none.
      n_groups: M.
      passed_only: leave out cells that failed quality control.
      shifts: what is taken off the transformed counts of each cell.
    """
    cells = split.cells
    used = groups >= 0
    if passed_only:
        used &= ~(np.asarray(cells.qc_fail) != 0).any(axis=1)
    rows, n_genes = np.flatnonzero(used), cells.counts.shape[1]
    sums = {name: np.zeros((n_groups, n_genes)) for name in TRANSFORMS}
    squares = {name: np.zeros((n_groups, n_genes)) for name in TRANSFORMS}
    step = max(1, _CHUNK_VALUES // n_genes)
    for start in range(0, len(rows), step):
        at = rows[start : start + step]
        ones = np.ones(len(at))
        member = sparse.csr_matrix(
            (ones, (groups[at], np.arange(len(at)))), shape=(n_groups, len(at))
        )
        counts = np.asarray(cells.counts[at], np.float64)
        for name, values in (("mean", counts), ("perturbseq", perturbseq(counts))):
            if shifts is not None:
                values = values - shifts.shift[name][shifts.category[at]]
            sums[name] += member @ values
            squares[name] += member @ np.square(values)
    return GroupSums(sums, squares, np.bincount(groups[rows], minlength=n_groups))


def perturbseq(counts: np.ndarray) -> np.ndarray:
    """Scale each cell, [N, G], to 10,000 counts and take log2(1 + x); an empty cell stays 0."""
    total = counts.sum(axis=-1, keepdims=True)
    factor = np.divide(SCALE, total, out=np.zeros(total.shape), where=total > 0)
    return np.log2(1 + counts * factor)


def perturbations_of(dataset: Dataset) -> tuple[str, ...]:
    """Return all labels of the data except the control, sorted."""
    found = {str(label) for labels in dataset.labels.values() for label in np.unique(labels)}
    return tuple(sorted(found - {dataset.conventions.control}))


def conditions_of_labels(dataset: Dataset, labels: Sequence[str]) -> Conditions:
    """Return the conditions (perturbed genes) of the data's labels."""
    groups = [dataset.label_genes[label] for label in labels]
    return conditions_of(groups, dataset.treatments)


def batch_shifts(dataset: Dataset, split: str) -> Shifts | None:
    """Return by how much the controls of each batch of a split differ from all its controls.

    Taken off every cell, they make an effect the difference to the controls of the same batches:
    otherwise a perturbation that is more frequent in one batch would show the batch. The batch is
    the data's first covariate; None where it has none.
    """
    cells = dataset.splits[split].cells
    if cells.covariates is None:
        return None
    category = np.asarray(cells.covariates)[:, 0]
    control = dataset.labels[split] == dataset.conventions.control
    n = category.max(initial=-1) + 1
    sums = group_sums(dataset.splits[split], np.where(control, category, -1), int(n))
    shift = {name: batch_shift(of, sums.n_cells) for name, of in sums.sums.items()}
    return Shifts(category, shift)


def split_sums(
    dataset: Dataset, split: str, labels: tuple[str, ...], *, passed_only: bool = False
) -> GroupSums:
    """Sum the cells of a split by label, within batches; the control is the last group."""
    names = [*labels, dataset.conventions.control]
    return group_sums(
        dataset.splits[split],
        label_numbers(dataset.labels[split], names),
        len(names),
        passed_only=passed_only,
        shifts=batch_shifts(dataset, split),
    )


def label_numbers(labels: np.ndarray, names: list[str]) -> np.ndarray:
    """Return the position of each cell's label among the names, [N]; -1 where it is not there."""
    place = {name: i for i, name in enumerate(names)}
    distinct, code = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    return np.array([place.get(str(name), -1) for name in distinct], np.int64)[code.ravel()]


def effects_of(groups: GroupSums) -> dict[str, np.ndarray]:
    """Return mean(group) - mean(last group, the control), [M - 1, G], by transform.

    nan where a group has no cells.
    """
    n = groups.n_cells[:, None].astype(np.float64)
    effects = {}
    for name, sums in groups.sums.items():
        mean = np.divide(sums, n, out=np.full(sums.shape, np.nan), where=n > 0)
        effects[name] = mean[:-1] - mean[-1:]
    return effects


def standard_errors_of(groups: GroupSums) -> dict[str, np.ndarray]:
    """Return the standard error of each effect of `effects_of`, [M - 1, G], by transform.

    nan where a group has fewer than two cells.
    """
    n = groups.n_cells[:, None].astype(np.float64)
    errors = {}
    for name, sums in groups.sums.items():
        within = groups.squares[name] - np.square(sums) / np.maximum(n, 1)
        variance = np.maximum(within, 0) / np.maximum(n - 1, 1)
        of_mean = np.where(n > 1, variance / np.maximum(n, 1), np.nan)
        errors[name] = np.sqrt(of_mean[:-1] + of_mean[-1:])
    return errors
