"""Observed changes of network genes under perturbations, and the direct effects they suggest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpo_vae_jax.statistics.batch_shift import batch_shift
from gpo_vae_jax.types import Batch, Dataset

RIDGE = 0.1  # penalty of `ridge_deconvolution`, on natural-log changes
_PER = 10_000.0  # counts to which cells are scaled before the logarithm
_ROWS = 4096  # cells at a time


def pair_changes(dataset: Dataset, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Return the log fold change of every (source, target) pair and its standard error, [T, T].

    It is the mean over cells in which the source alone is perturbed minus the mean over control
    cells, of log(1 + counts per 10,000) of the target; where the data has batches, those of the
    same batches. nan where the source has no such cells (or
    fewer than two, for the error), or the target is not measured. Treatments that `mask_test` hides
    have none.
    """
    cells, n = dataset.splits[split].cells, len(dataset.treatments)
    columns = np.asarray(dataset.sizes.network_genes)
    measured = np.flatnonzero(columns >= 0)
    group, number = _groups(dataset, split), n + 1
    sums, squares = np.zeros((2, number, len(measured)))
    size = np.maximum(np.asarray(cells.library_size, np.float64), 1)
    rows = np.flatnonzero(group >= 0)

    def values_of(at: np.ndarray) -> np.ndarray:
        counts = np.asarray(cells.counts[at], np.float64)[:, columns[measured]]
        return np.log1p(counts * (_PER / size[at])[:, None])

    batch, shift = _shifts(cells, group == n, values_of, len(measured))
    for start in range(0, len(rows), _ROWS):
        at = rows[start : start + _ROWS]
        values = values_of(at) if batch is None else values_of(at) - shift[batch[at]]
        member = (group[at][None] == np.arange(number)[:, None]).astype(np.float64)
        sums += member @ values
        squares += member @ np.square(values)
    n_cells = np.bincount(group[rows], minlength=number).astype(np.float64)[:, None]
    mean = np.divide(sums, n_cells, out=np.full(sums.shape, np.nan), where=n_cells > 0)
    within = np.maximum(squares - n_cells * np.square(np.nan_to_num(mean)), 0)
    spread = np.divide(
        within, (n_cells - 1) * n_cells, out=np.full(sums.shape, np.nan), where=n_cells > 1
    )
    change, error = np.full((n, n), np.nan), np.full((n, n), np.nan)
    change[:, measured] = mean[:-1] - mean[-1:]
    error[:, measured] = np.sqrt(spread[:-1] + spread[-1:])
    return change, error


def ridge_deconvolution(change: np.ndarray, penalty: float = RIDGE) -> np.ndarray:
    """Return the direct effects W that explain total effects Y best, [T, T]: Y = Y W.

    The change of a gene under each perturbation but its own is regressed on the changes of all
    other genes, with an L2 penalty. Linear, like a network whose responses do not saturate.

    Args:
      change: Y, [T, T], nan where nothing is known.
      penalty: of the squared weights.
    """
    n = len(change)
    rows = np.flatnonzero(np.isfinite(change).any(axis=1))
    measured = np.flatnonzero(np.isfinite(change[rows]).all(axis=0)) if len(rows) else rows
    weights = np.zeros((n, n))
    for target in measured:
        used, others = rows[rows != target], measured[measured != target]
        x, y = change[np.ix_(used, others)], change[used, target]
        if x.size:
            # of both forms of the solution, the one with the smaller system
            if x.shape[0] < x.shape[1]:
                gram = x @ x.T + penalty * np.eye(x.shape[0])
                weights[others, target] = x.T @ np.linalg.solve(gram, y)
            else:
                gram = x.T @ x + penalty * np.eye(x.shape[1])
                weights[others, target] = np.linalg.solve(gram, x.T @ y)
    return weights


def _shifts(
    cells: Batch,
    is_control: np.ndarray,
    values_of: Callable[[np.ndarray], np.ndarray],
    n_genes: int,
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the batch of each cell, and the mean of its controls minus that of all, [b + 1, n].

    The batch is the first covariate; None without any.
    """
    if cells.covariates is None:
        return None, np.zeros((0, n_genes))
    batch = np.asarray(cells.covariates)[:, 0]
    n = int(batch.max(initial=-1)) + 1
    sums, counted = np.zeros((n, n_genes)), np.zeros(n)
    rows = np.flatnonzero(is_control & (batch >= 0))
    for start in range(0, len(rows), _ROWS):
        at = rows[start : start + _ROWS]
        np.add.at(sums, batch[at], values_of(at))
        np.add.at(counted, batch[at], 1)
    return batch, batch_shift(sums, counted)


def _groups(dataset: Dataset, split: str) -> np.ndarray:
    """Return the treatment of each cell, T for controls, -1 for combinations and hidden ones."""
    cells, n = dataset.splits[split].cells, len(dataset.treatments)
    column = {name: i for i, name in enumerate(dataset.treatments)}
    distinct, code = np.unique(np.asarray(dataset.labels[split], str), return_inverse=True)
    of_label = np.full(len(distinct), -1)
    for i, label in enumerate(distinct):
        genes = dataset.label_genes[str(label)]
        if len(genes) < 2:
            of_label[i] = column[genes[0]] if genes else n
    group = of_label[code.ravel()]
    hidden = (group < n) & ~(np.asarray(cells.dosage) != 0).any(axis=1)
    return np.where(hidden, -1, group)
