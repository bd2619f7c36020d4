"""One epoch as one program: shuffle, scan over batches, validate, keep the best parameters."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gpo_vae_jax.model import sample_noise
from gpo_vae_jax.model.precision import products_at
from gpo_vae_jax.objective import loss
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.batches import in_order, over_batches, shuffled
from gpo_vae_jax.train.layout import Layout
from gpo_vae_jax.train.monitors import network_monitors
from gpo_vae_jax.train.packing import Packing
from gpo_vae_jax.train.present import with_rows_present
from gpo_vae_jax.train.state import NOISE, VALIDATION, TrainState, stream
from gpo_vae_jax.train.step import StepState, apply_gradients, gradients_of
from gpo_vae_jax.types import Array, Batch, Context, Metrics, Noise, Params, Split


_WEIGHT = "weight"  # of a batch, beside the parts of its loss


class EpochReport(NamedTuple):
    """The numbers of an epoch, on the device."""

    steps: Metrics  # each [n_steps]: the loss, its parts and "gradient_norm"
    validation: Metrics  # scalars: the validation loss and its parts
    network: Metrics  # scalars: shares, edges and mean Wasserstein distances


@partial(jax.jit, static_argnames=("spec", "n_rows", "layout"))
def run_epoch(
    state: TrainState,
    train: Split,
    validation: Split,
    tables: dict[str, Array],
    values: dict[str, Array] | None = None,
    *,
    spec: Spec,
    n_rows: int | None = None,
    layout: Layout | None = None,
) -> tuple[TrainState, EpochReport]:
    """Train for an epoch, validate, and keep the parameters if they are the best so far.

    Pure: `vmap` over `state` trains many seeds on the same data.

    Args:
      state: at the end of the previous epoch.
      train: the training split.
      validation: the validation split.
      tables: Wasserstein distances [R, T] by name of the split (`Dataset.tables`).
      values: settings of `spec.VARIED` that are arguments of the program, scalars by their path;
        they replace those of `spec`.
      spec: sizes and settings.
      n_rows: number of perturbations that a batch seldom exceeds (`present.rows_of_batches`), or
        None for all of them. It changes the time, not the result.
      layout: how a batch is shared by several devices; None for one device.
    """
    spec = spec.with_values(values or {})
    current, steps = _train(state, train, spec, n_rows, layout)
    metrics = validate(
        current.params,
        validation,
        stream(state.seed, VALIDATION, state.epoch),
        spec=spec,
        n_rows=n_rows,
        layout=layout,
    )
    return end_of_epoch(state, current, steps, metrics, tables, spec=spec)


def end_of_epoch(
    state: TrainState,
    current: StepState,
    steps: Metrics,
    validation: Metrics,
    tables: dict[str, Array],
    *,
    spec: Spec,
) -> tuple[TrainState, EpochReport]:
    """Return the state after an epoch, with the best parameters so far, and its report.

    Args:
      state: before the epoch.
      current: after its last step.
      steps: the loss of each step and its parts, [n_steps].
      validation: the validation loss and its parts.
      tables: as in `run_epoch`.
      spec: sizes and settings.
    """
    better = validation["loss"] < state.best_loss
    new = state._replace(
        current=current,
        step=state.step + steps["loss"].shape[0],
        epoch=state.epoch + 1,
        best_params=jax.tree.map(
            lambda now, best: jnp.where(better, now, best), current.params, state.best_params
        ),
        best_loss=jnp.where(better, validation["loss"], state.best_loss),
        best_epoch=jnp.where(better, state.epoch, state.best_epoch),
    )
    network = network_monitors(current.params, tables, spec=spec)
    return new, EpochReport(steps, validation, network)


def validate(
    params: Params,
    split: Split,
    key: Array,
    *,
    spec: Spec,
    n_rows: int | None = None,
    layout: Layout | None = None,
) -> Metrics:
    """Return the loss over a split and its parts, batches weighted by their size."""
    rows, filled = in_order(split.cells.weight.shape[0], spec.train.batch_size)

    def body(carry, number, batch):
        parts, weight = loss_of_batch(
            params, split.context, batch, key, number, spec=spec, n_rows=n_rows
        )
        return carry, {**parts, _WEIGHT: weight}

    _, parts = over_batches(
        body,
        None,
        split.cells,
        rows,
        filled,
        n_rows=n_rows,
        n_perturbed=spec.sizes.n_perturbed,
        layout=layout,
    )
    weights = parts.pop(_WEIGHT)
    return weighted_mean(parts, weights)


def loss_of_batch(
    params: Params,
    context: Context,
    batch: Batch,
    key: Array,
    number: Array,
    *,
    spec: Spec,
    n_rows: int | None = None,
) -> tuple[Metrics, Array]:
    """Return the loss of a validation batch and its parts, and the batch's weight.

    Args:
      params: of the model.
      context: of the validation split.
      batch: its cells.
      key: of the noise of all batches.
      number: of the batch, on which its noise depends.
      spec: sizes and settings.
      n_rows: see `run_epoch`.
    """

    def parts_of(batch):
        noise = _noise(jax.random.fold_in(key, number), batch, spec)
        with products_at(spec.train.precision):
            return loss(params, context, batch, noise, spec=spec)[1]

    parts = with_rows_present(parts_of, batch, n_rows, spec.sizes.n_perturbed)
    return parts, batch.weight.sum()


def weighted_mean(parts: Metrics, weights: Array) -> Metrics:
    """Return the mean over batches of the loss and its parts."""
    return jax.tree.map(lambda part: (part * weights).sum() / weights.sum(), parts)


def _train(
    state: TrainState, split: Split, spec: Spec, n_rows: int | None, layout: Layout | None
) -> tuple[StepState, Metrics]:
    n_cells = split.cells.weight.shape[0]
    batches = shuffled(state.seed, state.epoch, n_cells, spec.train.batch_size)
    return run_steps(
        state.current,
        split,
        *batches,
        state.seed,
        state.step,
        spec=spec,
        n_rows=n_rows,
        layout=layout,
    )


def run_steps(
    current: StepState,
    split: Split,
    rows: Array,
    filled: Array,
    seed: Array,
    first: Array,
    *,
    spec: Spec,
    n_rows: int | None = None,
    layout: Layout | None = None,
) -> tuple[StepState, Metrics]:
    """Take a step on each batch.

    Args:
      current: parameters and state of the optimiser.
      split: the training split.
      rows: [n_steps, B] the cells of each batch.
      filled: [n_steps, B] False for cells that only fill a batch.
      seed: of the noise.
      first: number of the first step; the noise of a step depends on its number.
      spec: sizes and settings.
      n_rows: see `run_epoch`.
      layout: see `run_epoch`.

    Returns:
      The new state, and the loss of each step and its parts, [n_steps].
    """
    n_steps = rows.shape[0]
    packing = Packing.of(current.params, layout)

    def body(current, number, batch):
        return step_on(
            current,
            split.context,
            batch,
            seed,
            first + number,
            n_steps,
            spec=spec,
            n_rows=n_rows,
            packing=packing,
        )

    current, metrics = over_batches(
        body,
        packing.pack_state(current) if packing else current,
        split.cells,
        rows,
        filled,
        n_rows=n_rows,
        n_perturbed=spec.sizes.n_perturbed,
        layout=layout,
    )
    return packing.unpack_state(current) if packing else current, metrics


def step_on(
    current: StepState,
    context: Context,
    batch: Batch,
    seed: Array,
    number: Array,
    epoch_steps: int,
    *,
    spec: Spec,
    n_rows: int | None = None,
    packing: Packing | None = None,
) -> tuple[StepState, Metrics]:
    """Take the step of a run that has this number, on this batch.

    Args:
      current: parameters and state of the optimiser.
      context: of the training split.
      batch: its cells.
      seed: of the run.
      number: of the step in the run, on which its noise depends.
      epoch_steps: steps of an epoch, for the schedule.
      spec: sizes and settings.
      n_rows: see `run_epoch`.
      packing: of the state, if it is packed.
    """
    params = packing.unpack(current.params) if packing else current.params

    def of_batch(batch):
        noise = _noise(stream(seed, NOISE, number), batch, spec)
        return gradients_of(params, context, batch, noise, spec=spec)

    gradients, parts = with_rows_present(of_batch, batch, n_rows, spec.sizes.n_perturbed)
    gradients = packing.pack(gradients) if packing else gradients
    progress = number / (epoch_steps * spec.train.max_epochs)
    return apply_gradients(current, gradients, parts, progress, spec=spec)


def _noise(key: Array, batch: Batch, spec: Spec) -> Noise:
    n = spec.train.n_particles
    return sample_noise(
        key,
        spec,
        n_particles=n,
        n_cells=batch.weight.shape[0],
        rows=batch.rows,
        n_shared=min(spec.train.network_samples or n, n),
    )
