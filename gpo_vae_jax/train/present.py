"""Work on the rows of the network that a batch meets, not on all of them.

A batch of 512 cells holds some 264 of the 383 perturbations of a genome-scale screen. Rows of the
others would be sampled, encoded and followed along the network for nothing: no cell asks for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp

from gpo_vae_jax.types import Array, Batch

_MARGIN = 4.0  # standard deviations above the expected number of rows
_WORTH_IT = 0.9  # of all rows; above, all are worked on
_STEP = 16  # numbers of rows are multiples of this
_Result = TypeVar("_Result")


def with_rows_present(
    function: Callable[[Batch], _Result], batch: Batch, n_perturbed: int
) -> _Result:
    """Give function(batch), with rows for the batch's own perturbations only, if they are few.

    `function` is compiled twice, for few rows and for all, and the batch decides which runs. The
    result is the same: rows that no cell meets enter nothing.

    Args:
      function: must respect `Batch.rows`.
      n_perturbed: R.
    """
    most = most_rows(n_perturbed, batch.perturbation.size)
    if most == n_perturbed:
        return function(batch)
    few, number = present(batch, n_perturbed, most)
    return jax.lax.cond(
        _in_every_lane(number <= most), lambda: function(few), lambda: function(batch)
    )


def present(batch: Batch, n_perturbed: int, most: int) -> tuple[Batch, Array]:
    """Give the batch with `rows` set, [most], and how many of them are needed.

    Where more than `most` are needed the batch is not usable.
    """
    used = jnp.zeros(n_perturbed, bool).at[batch.perturbation].max(batch.dosage != 0)
    place = jnp.maximum(jnp.cumsum(used) - 1, 0)
    (rows,) = jnp.nonzero(used, size=most, fill_value=0)
    perturbation = jnp.minimum(place[batch.perturbation], most - 1).astype(jnp.int32)
    return batch._replace(rows=rows.astype(jnp.int32), perturbation=perturbation), used.sum()


def most_rows(n_perturbed: int, n_draws: int) -> int:
    """Give how many rows a batch rarely exceeds, were all perturbations equally frequent.

    Unequal ones give fewer. All rows where there is little to save.
    """
    missed = math.exp(n_draws * math.log1p(-1 / n_perturbed)) if n_perturbed > 1 else 0.0
    load = n_draws / n_perturbed
    spread = math.sqrt(n_perturbed * missed * max(1 - (1 + load) * missed, 0))
    expected = n_perturbed * (1 - missed) + _MARGIN * spread
    most = _STEP * math.ceil(expected / _STEP)
    return most if most <= _WORTH_IT * n_perturbed else n_perturbed


@partial(jax.custom_batching.custom_vmap)
def _in_every_lane(condition: Array) -> Array:
    """Let all lanes of a vmap take the same branch: both would run in every lane otherwise."""
    return condition


@_in_every_lane.def_vmap
def _in_every_lane_of_batch(axis_size, in_batched, condition):
    del axis_size, in_batched
    return condition.all(), False
