"""Entropic optimal transport from cells to controls (docs/method.md 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from gpo_vae_jax.data.prepare.matching.distances import euclidean, first_of_largest
from gpo_vae_jax.memory import items_within, numbers_within, pieces

COST_SCALE = 100.0
REGULARISATION = 1.0
_TOLERANCE = 1e-12  # relative change of the scalings
_MAX_ITERATIONS = 1000
_SAFE_RANGE = 200.0  # exp of costs within this range neither over- nor underflows
_TIE = 1e-11  # of cost / regularisation; rounding errors are far smaller
_KERNEL_VALUES = numbers_within(0.5, 8)  # of the kernel that are held in memory

Kernels = Callable[[], Iterable[np.ndarray]]  # the kernel [n, m], in blocks of rows


def transport_match(cells: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Match cells [n, R] to controls [m, R] by entropic optimal transport, [n] rows of controls.

    Cost = Euclidean distance / 100, regularisation 1, uniform marginals. A cell's match is the
    largest entry of its row of the plan, the first of equals. A row's own potential does not change
    which entry is largest, so only the controls' potentials are computed and the plan is never
    built. A kernel above half a GiB is recomputed block by block in each iteration.
    """
    step = items_within(_KERNEL_VALUES, len(controls))
    parts = [cells[part] for part in pieces(len(cells), step)]
    longest = [np.sqrt(np.square(x).sum(axis=1).max(initial=0)) for x in (cells, controls)]
    reach = sum(longest) / (COST_SCALE * REGULARISATION)  # no cost is larger
    small = reach <= _SAFE_RANGE  # always true for expression

    def kernel(part: np.ndarray) -> np.ndarray:
        values = euclidean(part, controls)
        values *= -1.0 / (COST_SCALE * REGULARISATION)
        return np.exp(values, out=values) if small else values

    held = [kernel(parts[0])] if len(parts) == 1 else []
    solve = scalings_of_controls if small else potentials_of_controls
    of_controls = solve(lambda: held or map(kernel, parts), (len(cells), len(controls)))
    found = []
    for block in held or map(kernel, parts):
        if small:
            block *= of_controls
            found.append(first_of_largest(block, _TIE * block.max(axis=1, keepdims=True)))
        else:
            block += of_controls
            found.append(first_of_largest(block, _TIE * reach))
    return np.concatenate([np.zeros(0, np.int64), *found])


def scalings_of_controls(kernels: Kernels, shape: tuple[int, int]) -> np.ndarray:
    """Run Sinkhorn on exp(-cost / regularisation); return the scalings of the controls, [m].

    An iteration is two matrix-vector products.
    """
    n, m = shape
    scaling = np.ones(m)
    for _ in range(_MAX_ITERATIONS):
        flow = np.zeros(m)
        for block in kernels():
            flow += (1.0 / (n * (block @ scaling))) @ block
        updated = 1.0 / (m * flow)
        change = np.abs(updated / scaling - 1).max()
        scaling = updated
        if change <= _TOLERANCE:
            break
    return scaling


def potentials_of_controls(kernels: Kernels, shape: tuple[int, int]) -> np.ndarray:
    """Run Sinkhorn in the log domain on -cost / regularisation; return log scalings, [m].

    Ten times slower than `scalings_of_controls`, but safe for costs of any size.
    """
    n, m = shape
    potential = np.zeros(m)
    for _ in range(_MAX_ITERATIONS):
        flow = np.full(m, -np.inf)
        for block in kernels():
            of_cells = -_log_sum_exp(block + potential, axis=1) - np.log(n)
            flow = np.logaddexp(flow, _log_sum_exp(block + of_cells[:, None], axis=0))
        updated = -flow - np.log(m)
        change = np.abs(updated - potential).max()
        potential = updated
        if change <= _TOLERANCE:
            break
    return potential


def _log_sum_exp(values: np.ndarray, axis: int) -> np.ndarray:
    """Return log(sum(exp(values))); `values`, which may be large, is overwritten."""
    top = values.max(axis=axis, keepdims=True)
    values -= top
    np.exp(values, out=values)
    return np.log(values.sum(axis=axis)) + top.squeeze(axis)
