"""The batches of an epoch: which cells, in which order, and which rows of the network they use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.train.compact_cells import rows_of
from gpo_vae_jax.train.layout import Layout
from gpo_vae_jax.train.present import in_every_lane, rows_used
from gpo_vae_jax.train.state import SHUFFLE, stream
from gpo_vae_jax.types import Array, Batch, Metrics

_Carry = TypeVar("_Carry")
Found = tuple[_Carry, Metrics]
Body = Callable[[_Carry, Array, Batch, Any, int | None], Found]
Ahead = Callable[[Array, Array | None], Any]


def over_batches(
    body: Body,
    start: _Carry,
    cells: Batch,
    rows: Array,
    filled: Array,
    *,
    ahead: Ahead,
    n_rows: int | None,
    n_perturbed: int,
    layout: Layout | None = None,
) -> Found:
    """Scan a function over batches.

    On a CPU every batch decides whether `n_rows` rows of the network are enough for it. Elsewhere
    all batches decide together, before the first: a decision inside the loop would keep a GPU
    waiting, and part kernels that are one without it. What else can be computed for all batches at
    once is computed there, too.

    Args:
      body: of the carry, the number of the batch, the batch, what `ahead` returned for it or None,
        and `n_rows` or None where nothing is left to decide; returns the new carry and scalars by
        name.
      start: the carry before the first batch.
      cells: of the split.
      rows: [n, B] the cells of each batch.
      filled: [n, B] False for cells that only fill a batch.
      ahead: of the number of a batch and the rows of the network that it uses (None: all).
      n_rows: number of perturbations that a batch seldom exceeds, or None for all of them.
      n_perturbed: R.
      layout: how a batch is shared by several devices.

    Returns:
      The last carry, and the scalars of every batch, [n].
    """
    numbers = jnp.arange(rows.shape[0])

    def scan(plan: _Plan | None, left: int | None = None) -> Found:
        def one(carry, at):
            number, rows, fills, planned, early = at
            batch = gather(cells, rows, fills, layout)
            if planned is not None:
                batch = batch._replace(rows=planned.rows, perturbation=planned.perturbation)
            return _as_vector(body(carry, number, batch, early, left), names)

        names: list[str] = []
        early = None
        if not on_cpu():
            early = jax.vmap(ahead)(numbers, None if plan is None else plan.rows)
        carry, values = jax.lax.scan(one, start, (numbers, rows, filled, plan, early))
        return carry, dict(zip(names, values.T, strict=True))

    if n_rows is None or on_cpu():
        return scan(None, n_rows)

    def plan_of(rows: Array) -> tuple[_Plan, Array]:
        of_cells = cells.perturbation, cells.dosage
        used, dosage = (jnp.take(a, rows, axis=0, mode="clip") for a in of_cells)
        *planned, number = rows_used(used, dosage, n_perturbed, n_rows)
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
    batch = rows_of(cells, rows)
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
