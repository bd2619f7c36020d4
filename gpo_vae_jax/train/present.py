"""Work on the rows of the network that a batch meets, not on all of them.

A batch of 512 cells holds some 264 of the 383 perturbations of a genome-scale screen. Rows of the
others would be sampled, encoded and followed along the network for nothing: no cell asks for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from scipy.special import gammaln

from gpo_vae_jax.types import Array, Batch, Split

_MARGIN = 2.0  # standard deviations above the expected number of rows
_WORTH_IT = 0.9  # of all rows; above, all are worked on
_STEP = 8  # numbers of rows are multiples of this
_Result = TypeVar("_Result")


def rows_of_batches(split: Split, batch_size: int, n_perturbed: int) -> int | None:
    """Return how many rows the batches of a split seldom exceed; None where there is little to save.

    Computed on the host: it decides what is compiled.
    """
    n_cells = len(split.cells.weight)
    cells = np.asarray(split.context.treatment_cells)[:n_perturbed]
    mean, deviation = rows_met(cells, n_cells, min(batch_size, n_cells))
    rows = _STEP * math.ceil(max(mean + _MARGIN * deviation, 1) / _STEP)
    return rows if rows <= _WORTH_IT * len(cells) else None


def rows_met(cells: np.ndarray, n_cells: int, batch_size: int) -> tuple[float, float]:
    """Return mean and standard deviation of the number of perturbations that a batch meets.

    A batch is drawn without replacement. Which perturbations it misses hangs together: one cell is
    of one, so their covariance is negative (to first order of a perturbation's share of the cells).

    Args:
      cells: [R] cells of each perturbation.
    """
    cells, left = np.asarray(cells, np.float64), n_cells - batch_size
    if left == 0:
        return float(np.count_nonzero(cells)), 0.0
    possible = cells <= left  # else a batch cannot miss it
    c = np.where(possible, cells, 0)
    log_missed = gammaln(n_cells - c + 1) - gammaln(n_cells + 1)
    log_missed += gammaln(left + 1) - gammaln(left - c + 1)
    missed = np.where(possible, np.exp(np.minimum(log_missed, 0)), 0)
    together = ((c * missed).sum() ** 2 - ((c * missed) ** 2).sum()) * batch_size / (n_cells * left)
    variance = (missed * (1 - missed)).sum() - together
    return float((1 - missed).sum()), math.sqrt(max(variance, 0))


def with_rows_present(
    function: Callable[[Batch], _Result], batch: Batch, n_rows: int | None, n_perturbed: int
) -> _Result:
    """Return function(batch), with rows for the batch's own perturbations only, if they are few.

    `function` is compiled twice, for `n_rows` rows and for all, and the batch decides which runs.
    The result is the same: rows that no cell meets enter nothing.

    Args:
      function: must respect `Batch.rows`.
      n_rows: from `rows_of_batches`; None: all rows.
      n_perturbed: R.
    """
    if n_rows is None or n_rows >= n_perturbed:
        return function(batch)
    few, number = present(batch, n_perturbed, n_rows)
    return jax.lax.cond(
        _in_every_lane(number <= n_rows), lambda: function(few), lambda: function(batch)
    )


def present(batch: Batch, n_perturbed: int, most: int) -> tuple[Batch, Array]:
    """Return the batch with `rows` set, [most], and how many of them are needed.

    Where more than `most` are needed the batch is not usable.
    """
    used = jnp.zeros(n_perturbed, bool).at[batch.perturbation].max(batch.dosage != 0)
    place = jnp.maximum(jnp.cumsum(used) - 1, 0)
    (rows,) = jnp.nonzero(used, size=most, fill_value=0)
    perturbation = jnp.minimum(place[batch.perturbation], most - 1).astype(jnp.int32)
    return batch._replace(rows=rows.astype(jnp.int32), perturbation=perturbation), used.sum()


@custom_vmap
def _in_every_lane(condition: Array) -> Array:
    """Let all lanes of a vmap take the same branch: both would run in every lane otherwise."""
    return condition


@_in_every_lane.def_vmap
def _in_every_lane_of_batch(axis_size, in_batched, condition):
    del axis_size, in_batched
    return condition.all(), False
