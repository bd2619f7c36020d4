"""Match every cell to a control cell (docs/method.md 7)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist

from gpo_vae_jax.errors import DataError

COST_SCALE = 100.0
REGULARISATION = 1.0
_TOLERANCE = 1e-12  # of the potentials
_MAX_ITERATIONS = 1000

Match = Callable[[np.ndarray, np.ndarray], np.ndarray]


def transport_match(cells: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Match cells [n, R] to controls [m, R] by entropic optimal transport, [n] rows of controls.

    Cost = euclidean distance / 100, regularisation 1, uniform marginals, in the log domain. The
    match is the largest entry of the cell's row of the plan, the first of equals: as a row's own
    potential does not change which is largest, only the controls' potentials are kept.
    """
    kernel = cdist(cells, controls) * (-1.0 / (COST_SCALE * REGULARISATION))
    log_n, log_m = np.log(len(cells)), np.log(len(controls))
    control_potential = np.zeros(len(controls))
    for _ in range(_MAX_ITERATIONS):
        cell_potential = -_log_sum_exp(kernel + control_potential, axis=1) - log_n
        updated = -_log_sum_exp(kernel + cell_potential[:, None], axis=0) - log_m
        change = np.abs(updated - control_potential).max()
        control_potential = updated
        if change <= _TOLERANCE:
            break
    kernel += control_potential
    return np.argmax(kernel, axis=1)


def match_controls(
    expression: np.ndarray,
    group: np.ndarray,
    split: np.ndarray,
    is_control: np.ndarray,
    match: Match = transport_match,
) -> np.ndarray:
    """Give the row of each cell's matched control, [N].

    Cells are matched group by group (`group` [N], one number per perturbation) within their
    `split` [N] on `expression` [N, R], the log-normalised perturbed genes; the controls are a group
    too. `match` may be any function of (cells, controls). Raises DataError for a split without
    controls.
    """
    matched = np.full(len(group), -1, np.int64)
    for name in np.unique(split):
        here = split == name
        controls = np.flatnonzero(here & is_control)
        if not len(controls):
            raise DataError(f"the split {str(name)!r} has no control cells to match")
        for code in np.unique(group[here]):
            members = np.flatnonzero(here & (group == code))
            matched[members] = controls[match(expression[members], expression[controls])]
    return matched


def delta_expression(expression: np.ndarray, matched: np.ndarray) -> np.ndarray:
    """Give |log-expression of the cell - of its matched control|, [N, T] float32, nan -> 0."""
    return np.nan_to_num(np.abs(expression - expression[matched])).astype(np.float32)


def _log_sum_exp(values: np.ndarray, axis: int) -> np.ndarray:
    """Give log(sum(exp(values))); overwrites `values`, which may be large."""
    top = values.max(axis=axis, keepdims=True)
    values -= top
    np.exp(values, out=values)
    return np.log(values.sum(axis=axis)) + top.squeeze(axis)
