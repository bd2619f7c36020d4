"""An epoch whose cells come in from host memory or from disk, some batches at a time.

The batches, their noise and the steps are those of `epoch.run_epoch`, and so are the results;
memory does not grow with the number of cells.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.batches import in_order, shuffled
from gpo_vae_jax.train.cell_loader import (
    Request,
    bytes_of_a_cell,
    in_advance,
    read_cells,
    requests,
)
from gpo_vae_jax.train.epoch import EpochReport, end_of_epoch
from gpo_vae_jax.train.program import compiled
from gpo_vae_jax.train.state import VALIDATION, TrainState, stream
from gpo_vae_jax.train.step import StepState
from gpo_vae_jax.train.steps import loss_of_batch, step_on, weighted_mean
from gpo_vae_jax.types import Array, Batch, Context, Metrics, Params, Split


class EpochData(NamedTuple):
    """What every epoch reads, on the device."""

    train: Split
    validation: Split
    tables: dict[str, Array]


class Stream(NamedTuple):
    """What a streamed epoch reads."""

    train: Split  # cells in host memory or on disk
    validation: Split
    tables: dict[str, Array]  # as in `run_epoch`
    left_out: tuple[str, ...] = ()  # fields of cells that the loss does not look at
    place: Callable[[Any], Any] = jax.device_put  # puts batches, axes [k, B], on the devices
    part: slice = slice(None)  # of each batch: what this host reads


def run_streamed_epoch(
    state: TrainState,
    cells: Stream,
    values: dict[str, Array] | None = None,
    *,
    spec: Spec,
    n_rows: int | None = None,
    donate: bool = False,
) -> tuple[TrainState, EpochReport]:
    """Train for an epoch, validate, and keep the parameters if they are the best so far.

    Threads read the next batches while the device works on these. No more than a few requests of
    `cell_loader.REQUEST_BYTES` are in memory.

    Args:
      state: at the end of the previous epoch.
      cells: where batches come from.
      values: as in `run_epoch`.
      spec: sizes and settings.
      n_rows: as in `run_epoch`.
      donate: whether the epoch takes the memory of `state`, which nobody may read afterwards.

    Raises:
      DataError: cells on disk cannot be read.
    """
    size = spec.train.batch_size
    n_train, n_validation = (len(s.cells.weight) for s in (cells.train, cells.validation))
    order = _shuffled(state.seed, state.epoch, n_cells=n_train, batch_size=size)
    training = _requests(cells, cells.train, order)
    validating = _requests(cells, cells.validation, in_order(n_validation, size))
    work = [(cells.train, request) for request in training]
    work += [(cells.validation, request) for request in validating]
    key = _validation_key(state.seed, state.epoch)
    current, found = state.current, []
    nothing: Any = ()
    rest = state._replace(current=nothing) if donate else state  # the steps take what is current
    given = (0, 1) if donate else ()
    with closing(_arriving(cells, work)) as arriving:
        for i, ((split, request), batches) in enumerate(zip(work, arriving, strict=True)):
            jax.block_until_ready(found[-1:])  # or batches would pile up before the device
            first = np.int32(request.first)
            if i < len(training):
                number = state.step + first
                arguments = (current, split.context, batches, state.seed, number, values or {})
                static = {"spec": spec, "n_rows": n_rows, "epoch_steps": order[0].shape[0]}
                program = compiled(take_steps, arguments, donate=given[:1], **static)
                current, parts = program(*arguments)
                found.append(parts)
            else:
                arguments = (current.params, split.context, batches, key, first, values or {})
                program = compiled(losses_of_batches, arguments, spec=spec, n_rows=n_rows)
                found.append(program(*arguments))
    results = (rest, current, found[: len(training)], found[len(training) :], cells.tables)
    return compiled(_finish, results, spec=spec, n_rows=n_rows, donate=given)(*results)


@partial(jax.jit, static_argnames=("spec", "n_rows", "epoch_steps"))
def take_steps(
    current: StepState,
    context: Context,
    batches: Batch,
    seed: Array,
    first: Array,
    values: dict[str, Array],
    *,
    spec: Spec,
    n_rows: int | None,
    epoch_steps: int,
) -> tuple[StepState, Metrics]:
    """Take a step on each of k batches, as `epoch.run_steps` does on the rows of a split.

    Args:
      current: parameters and state of the optimiser.
      context: of the training split.
      batches: each field with axes [k, B]; cells that only fill a batch have weight 0.
      seed: of the run.
      first: number of the first step in the run.
      values: as in `run_epoch`.
      spec: sizes and settings.
      n_rows: as in `run_epoch`.
      epoch_steps: steps of an epoch.
    """
    spec = spec.with_values(values)

    def body(current, at):
        number, batch = at
        return step_on(
            current, context, batch, seed, first + number, epoch_steps, spec=spec, n_rows=n_rows
        )

    return jax.lax.scan(body, current, (jnp.arange(batches.weight.shape[0]), batches))


@partial(jax.jit, static_argnames=("spec", "n_rows"))
def losses_of_batches(
    params: Params,
    context: Context,
    batches: Batch,
    key: Array,
    first: Array,
    values: dict[str, Array],
    *,
    spec: Spec,
    n_rows: int | None,
) -> tuple[Metrics, Array]:
    """Return the loss of each of k validation batches and its parts, [k], and their weights, [k].

    Args:
      params: of the model.
      context: of the validation split.
      batches: each field with axes [k, B].
      key: of the noise of all batches.
      first: number of the first batch.
      values: as in `run_epoch`.
      spec: sizes and settings.
      n_rows: as in `run_epoch`.
    """
    spec = spec.with_values(values)

    def body(_, at):
        number, batch = at
        return None, loss_of_batch(
            params, context, batch, key, first + number, spec=spec, n_rows=n_rows
        )

    return jax.lax.scan(body, None, (jnp.arange(batches.weight.shape[0]), batches))[1]


def _requests(cells: Stream, split: Split, batches: tuple[Array, Array]) -> list[Request]:
    rows, filled = (np.asarray(part)[:, cells.part] for part in batches)
    return requests(rows, filled, bytes_of_a_cell(split.cells, cells.left_out))


def _arriving(cells: Stream, work: Sequence[tuple[Split, Request]]) -> Generator[Batch, None, None]:
    """Yield the batches of each request on the device."""

    def read(item: tuple[Split, Request]) -> Batch:
        split, request = item
        batches = read_cells(split.cells, request.rows, cells.left_out)
        return batches._replace(weight=batches.weight * request.filled)

    with closing(in_advance(read, work)) as reads:
        for batches in reads:
            yield cells.place(batches)


_shuffled = jax.jit(shuffled, static_argnames=("n_cells", "batch_size"))


@jax.jit
def _validation_key(seed: Array, epoch: Array) -> Array:
    return stream(seed, VALIDATION, epoch)


@partial(jax.jit, static_argnames=("spec", "n_rows"))
def _finish(
    state: TrainState,
    current: StepState,
    steps: list[Metrics],
    validation: list[tuple[Metrics, Array]],
    tables: dict[str, Array],
    *,
    spec: Spec,
    n_rows: int | None,
) -> tuple[TrainState, EpochReport]:
    del n_rows
    of_steps = jax.tree.map(lambda *parts: jnp.concatenate(parts), *steps)
    parts, weights = jax.tree.map(lambda *parts: jnp.concatenate(parts), *validation)
    return end_of_epoch(state, current, of_steps, weighted_mean(parts, weights), tables, spec=spec)
