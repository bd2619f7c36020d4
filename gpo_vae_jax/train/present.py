"""Compute only the rows of the network that a batch uses.

A batch of 512 cells holds some 264 of the 383 perturbations of a genome-scale screen. Sampling and
encoding the rows of the others, and following them along the network, would be wasted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from scipy.special import gammaln, ndtr

from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.types import Array, Batch, Split

_MARGIN = 2.0  # standard deviations above the expected number of rows
_WORTH_IT = 0.9  # of all rows; above, all are worked on
_STEP, _ALIGNED = 8, 16  # numbers of rows are multiples of this; of the other on a GPU
_Result = TypeVar("_Result")


def rows_of_batches(split: Split, batch_size: int, n_perturbed: int) -> int | None:
    """Return a number of rows that batches of a split seldom exceed (see `rows_of`)."""
    cells = np.asarray(split.context.treatment_cells)
    return rows_of(cells[:n_perturbed], len(cells), len(split.cells.weight), batch_size)


def rows_of(cells: np.ndarray, n_treatments: int, n_cells: int, batch_size: int) -> int | None:
    """Return a number of rows that batches seldom exceed; None where it would save little.

    It is computed on the host, because it decides what is compiled. On a GPU the batches of an
    epoch decide together, and the number is that of the least expected work. It may be all rows and
    a few more: products whose sides are no multiples of 16 are slower there, or copied first.

    Args:
      cells: [R] cells of each perturbation.
      n_treatments: T.
      n_cells: N.
      batch_size: B.
    """
    batch_size = min(batch_size, n_cells)
    mean, deviation = rows_met(cells, n_cells, batch_size)
    if not on_cpu():
        n_batches = -(-n_cells // batch_size)
        return min(_of_least_work(mean, deviation, len(cells), n_batches), n_treatments)
    rows = _up_to(_STEP, mean + _MARGIN * deviation)
    return rows if rows <= _WORTH_IT * len(cells) else None


def _of_least_work(mean: float, deviation: float, n_perturbed: int, n_batches: int) -> int:
    """Return the number of rows at which an epoch is expected to work on the fewest rows.

    If a single batch meets more, all batches work on all rows.
    """
    all_rows = _up_to(_ALIGNED, n_perturbed)
    numbers = np.arange(all_rows, 0, -_ALIGNED)  # of equal ones the largest is taken
    exceeded = ndtr((mean - numbers - 0.5) / max(deviation, 1e-9))  # by a batch
    exceeded = 1 - (1 - exceeded) ** n_batches  # by any
    work = numbers + exceeded * (all_rows - numbers)
    return int(numbers[np.argmin(work)])


def _up_to(step: int, number: float) -> int:
    return step * math.ceil(max(number, 1) / step)


def rows_met(cells: np.ndarray, n_cells: int, batch_size: int) -> tuple[float, float]:
    """Return mean and standard deviation of the number of perturbations that a batch meets.

    A batch is drawn without replacement. The perturbations that it misses are negatively
    correlated, as each cell has one (to first order of a perturbation's share of the cells).

    Args:
      cells: [R] cells of each perturbation.
      n_cells: N.
      batch_size: B.
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
    """Return function(batch), computed for the batch's own perturbations if they are few enough.

    `function` is compiled twice, for `n_rows` rows and for all; the batch decides which one runs.
    The result is the same, because rows without cells contribute nothing.

    Args:
      function: must respect `Batch.rows`.
      batch: B cells.
      n_rows: from `rows_of_batches`; None for all rows.
      n_perturbed: R.
    """
    if n_rows is None or n_rows >= n_perturbed:
        return function(batch)
    few, number = present(batch, n_perturbed, n_rows)
    return jax.lax.cond(
        in_every_lane(number <= n_rows), lambda: function(few), lambda: function(batch)
    )


def present(batch: Batch, n_perturbed: int, most: int) -> tuple[Batch, Array]:
    """Return the batch with `rows` set, [most], and the number of rows that it needs.

    The batch is not usable where that number is above `most`.
    """
    rows, perturbation, number = rows_used(batch.perturbation, batch.dosage, n_perturbed, most)
    return batch._replace(rows=rows, perturbation=perturbation), number


def rows_used(
    perturbation: Array, dosage: Array, n_perturbed: int, most: int
) -> tuple[Array, Array, Array]:
    """Return the rows that a batch uses, its perturbations as positions of them, and their number.

    Args:
      perturbation: [B, K] as in `Batch`.
      dosage: [B, K].
      n_perturbed: R.
      most: the length of the rows that are returned.

    Returns:
      The rows [most], int32, in order; others fill them up, so that no row is there twice. The
      positions [B, K], int32. The number, a scalar; rows and positions are not usable where it is
      above `most`.
    """
    used = jnp.zeros(max(n_perturbed, most), bool).at[perturbation].max(dosage != 0)
    place = jnp.maximum(jnp.cumsum(used) - 1, 0)
    rows = jnp.argsort(~used, stable=True)[:most].astype(jnp.int32)
    return rows, jnp.minimum(place[perturbation], most - 1).astype(jnp.int32), used.sum()


@custom_vmap
def in_every_lane(condition: Array) -> Array:
    """Make all lanes of a vmap take the same branch; otherwise every lane would run both."""
    return condition


@in_every_lane.def_vmap
def _in_every_lane_of_batch(axis_size, in_batched, condition):
    del axis_size, in_batched
    return condition.all(), False
