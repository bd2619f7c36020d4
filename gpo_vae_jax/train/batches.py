"""The batches of an epoch: which cells, in which order, and which rows of the network they use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.train.layout import Layout
from gpo_vae_jax.train.present import in_every_lane, present
from gpo_vae_jax.train.state import SHUFFLE, stream
from gpo_vae_jax.types import Array, Batch, Metrics

_Carry = TypeVar("_Carry")
Found = tuple[_Carry, Metrics]
Body = Callable[[_Carry, Array, Batch], Found]


def over_batches(
    body: Body,
    start: _Carry,
    cells: Batch,
    rows: Array,
    filled: Array,
    *,
    n_rows: int | None,
    n_perturbed: int,
    layout: Layout | None = None,
) -> Found:
    """Scan a function over batches.

    On a CPU every batch decides whether `n_rows` rows of the network are enough for it. Elsewhere
    all batches decide together, before the first: a decision inside the loop would keep a GPU
    waiting, and part kernels that are one without it.

    Args:
      body: of the carry, the number of the batch and the batch; returns the new carry and scalars
        by name. It decides by `present.with_rows_present` where the batch has no rows yet.
      start: the carry before the first batch.
      cells: of the split.
      rows: [n, B] the cells of each batch.
      filled: [n, B] False for cells that only fill a batch.
      n_rows: number of perturbations that a batch seldom exceeds, or None for all of them.
      n_perturbed: R.
      layout: how a batch is shared by several devices.

    Returns:
      The last carry, and the scalars of every batch, [n].
    """
    numbers = jnp.arange(rows.shape[0])

    def scan(plan: _Plan | None) -> Found:
        def one(carry, at):
            number, rows, fills, planned = at
            batch = gather(cells, rows, fills, layout)
            if planned is not None:
                batch = batch._replace(rows=planned.rows, perturbation=planned.perturbation)
            return _as_vector(body(carry, number, batch), names)

        names: list[str] = []
        carry, values = jax.lax.scan(one, start, (numbers, rows, filled, plan))
        return carry, dict(zip(names, values.T, strict=True))

    if n_rows is None or on_cpu():
        return scan(None)

    def plan_of(rows: Array) -> tuple[_Plan, Array]:
        taken = (jnp.take(a, rows, 0, mode="clip") for a in (cells.perturbation, cells.dosage))
        *planned, number = present(*taken, n_perturbed, n_rows)
        return _Plan(*planned), number

    plan, numbers_of_rows = jax.vmap(plan_of)(rows)
    if n_rows >= n_perturbed:
        return scan(plan)
    enough = in_every_lane(numbers_of_rows.max() <= n_rows)
    return jax.lax.cond(enough, lambda: scan(plan), lambda: scan(None))


class _Plan(NamedTuple):
    """The rows of the network that each batch uses, and its perturbations as positions of them."""

    rows: Array  # [n, n_rows]
    perturbation: Array  # [n, B, K]


def _as_vector(found: Found, names: list[str]) -> tuple[Any, Array]:
    """Put the scalars into one array, so that a loop writes one; note their names."""
    carry, values = found
    names[:] = sorted(values)
    return carry, jnp.stack([jnp.asarray(values[name], jnp.float32) for name in names])


def gather(cells: Batch, rows: Array, filled: Array, layout: Layout | None = None) -> Batch:
    """Return a batch of cells; those that only fill it up have no weight."""
    batch = jax.tree.map(lambda values: jnp.take(values, rows, axis=0, mode="clip"), cells)
    batch = batch._replace(weight=batch.weight * filled)
    return batch if layout is None else layout.shared(batch)


def shuffled(seed: Array, epoch: Array, n_cells: int, batch_size: int) -> tuple[Array, Array]:
    """Return the cells of each training batch of an epoch, [n, B], and which of them count."""
    order = jax.random.permutation(stream(seed, SHUFFLE, epoch), n_cells)
    return _batches(order, batch_size)


def in_order(n_cells: int, batch_size: int) -> tuple[Array, Array]:
    """Return the cells of each validation batch, [n, B], and which of them count."""
    return _batches(jnp.arange(n_cells), batch_size)


def n_batches(n_cells: int, batch_size: int) -> int:
    """Return the number of batches of an epoch; the last may be partial."""
    return -(-n_cells // min(batch_size, n_cells))


def _batches(order: Array, batch_size: int) -> tuple[Array, Array]:
    """Cut rows into equal batches; the last is filled up with rows of weight 0."""
    n_cells = order.shape[0]
    size = min(batch_size, n_cells)
    number = n_batches(n_cells, batch_size)
    fill = number * size - n_cells
    index = jnp.concatenate([order, order[:fill]]).reshape(number, size)
    return index, (jnp.arange(number * size) < n_cells).reshape(number, size)
