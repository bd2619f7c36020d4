"""Exact one-dimensional Wasserstein distances between perturbed and control cells."""

from __future__ import annotations

import numpy as np


def wasserstein_table(
    expression: np.ndarray,
    controls: np.ndarray,
    perturbation: np.ndarray,
    dosage: np.ndarray,
    n_perturbed: int,
) -> np.ndarray:
    """Give the distance of every (perturbation r, gene t) pair, [R, T] float64.

    It compares gene t (column t of the log-normalised `expression`, [N, T]) between the control
    cells (`controls`, [N] bool) and the cells that carry r (`perturbation`, `dosage`, [N, K]); nan
    where a column is nan (not measured) or a group is empty.

    For each cell i of a group of n, sorted, the distance gets the integral over quantiles u in
    [i/n, (i+1)/n] of |Q(u) - x_i|, Q the quantile function of the controls. With prefix sums of
    the sorted controls this takes one sort per gene and no loop over perturbations.
    """
    expression = np.asarray(expression, np.float64)
    table = np.full((n_perturbed, expression.shape[1]), np.nan)
    cell, slot = np.nonzero((dosage != 0) & (perturbation < n_perturbed))
    group = perturbation[cell, slot].astype(np.int64)
    m = int(np.count_nonzero(controls))
    if m == 0 or not len(cell):
        return table
    by_group = np.argsort(group, kind="stable")
    cell, group = cell[by_group], group[by_group]
    size = np.bincount(group, minlength=n_perturbed)
    first = np.concatenate([[0], np.cumsum(size)[:-1]])
    rank = np.arange(len(group)) - first[group]
    n = size[group]
    # quantile borders in units of one control cell: whole part and remainder, exactly
    low_whole, low_rest = np.divmod(rank * m, n)
    high_whole, high_rest = np.divmod((rank + 1) * m, n)
    low_rest, high_rest = low_rest / n, high_rest / n
    for t in range(expression.shape[1]):
        column = expression[:, t]
        if np.isnan(column).any():
            continue
        sorted_controls = np.sort(column[controls])
        prefix = np.concatenate([[0.0], np.cumsum(sorted_controls)])
        step = np.concatenate([sorted_controls, [0.0]])
        values = column[cell]
        values = values[np.lexsort((values, group))]
        below = np.searchsorted(sorted_controls, values, side="right")
        low, high = low_whole + low_rest, high_whole + high_rest
        turn = np.clip(below, low, high)
        at_low = prefix[low_whole] + low_rest * step[low_whole]
        at_high = prefix[high_whole] + high_rest * step[high_whole]
        at_turn = np.where(turn == below, prefix[below], np.where(turn == low, at_low, at_high))
        area = values * (2 * turn - low - high) - (2 * at_turn - at_low - at_high)
        total = np.bincount(group, weights=area, minlength=n_perturbed) / m
        table[:, t] = np.where(size > 0, np.maximum(total, 0), np.nan)
    return table
