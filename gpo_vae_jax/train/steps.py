"""Steps and validation on the batches of a split, in one loop each."""

from __future__ import annotations

import jax

from gpo_vae_jax.model.noise import NoiseSeeds, drawn_noise, noise_seeds
from gpo_vae_jax.model.precision import products_at
from gpo_vae_jax.objective import loss
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.batches import in_order, over_batches
from gpo_vae_jax.train.filling import Filling
from gpo_vae_jax.train.layout import Layout
from gpo_vae_jax.train.packing import Packing
from gpo_vae_jax.train.present import with_rows_present
from gpo_vae_jax.train.state import NOISE, stream
from gpo_vae_jax.train.step import StepState, apply_gradients, gradients_of
from gpo_vae_jax.types import Array, Batch, Context, Metrics, Noise, Params, Split

_WEIGHT = "weight"  # of a batch, beside the parts of its loss


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
    context, filling = split.context, Filling.of(spec, layout)
    if filling:
        current, context, spec = filling.state(current), filling.context(context), filling.spec
    packing = Packing.of(current.params, layout)

    def ahead(number, network_rows):
        return _seeds(stream(seed, NOISE, first + number), rows.shape[1], network_rows, spec)

    def body(current, number, batch, seeds, n_rows):
        return step_on(
            current,
            context,
            filling.batch(batch) if filling else batch,
            seed,
            first + number,
            n_steps,
            spec=spec,
            n_rows=n_rows,
            seeds=seeds,
            packing=packing,
        )

    current, metrics = over_batches(
        body,
        packing.pack_state(current) if packing else current,
        split.cells,
        rows,
        filled,
        ahead=ahead,
        n_rows=n_rows,
        n_perturbed=spec.sizes.n_perturbed,
        layout=layout,
    )
    current = packing.unpack_state(current) if packing else current
    return filling.cut(current) if filling else current, metrics


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
    seeds: NoiseSeeds | None = None,
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
      seeds: of the noise, where they were computed before; they are those of `seed` and `number`.
      packing: of the state, if it is packed.
    """
    params = packing.unpack(current.params) if packing else current.params

    def of_batch(batch):
        noise = _noise(stream(seed, NOISE, number), batch, spec, seeds)
        return gradients_of(params, context, batch, noise, spec=spec)

    gradients, parts = with_rows_present(of_batch, batch, n_rows, spec.sizes.n_perturbed)
    gradients = packing.pack(gradients) if packing else gradients
    progress = number / (epoch_steps * spec.train.max_epochs)
    return apply_gradients(current, gradients, parts, progress, spec=spec)


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
    context, filling = split.context, Filling.of(spec, layout)
    if filling:
        params, context, spec = filling.params(params), filling.context(context), filling.spec

    def ahead(number, network_rows):
        return _seeds(jax.random.fold_in(key, number), rows.shape[1], network_rows, spec)

    def body(carry, number, batch, seeds, n_rows):
        batch = filling.batch(batch) if filling else batch
        parts, weight = loss_of_batch(
            params, context, batch, key, number, spec=spec, n_rows=n_rows, seeds=seeds
        )
        return carry, {**parts, _WEIGHT: weight}

    _, parts = over_batches(
        body,
        None,
        split.cells,
        rows,
        filled,
        ahead=ahead,
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
    seeds: NoiseSeeds | None = None,
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
      seeds: see `step_on`.
    """

    def parts_of(batch):
        noise = _noise(jax.random.fold_in(key, number), batch, spec, seeds)
        with products_at(spec.train.precision):
            return loss(params, context, batch, noise, spec=spec)[1]

    parts = with_rows_present(parts_of, batch, n_rows, spec.sizes.n_perturbed)
    return parts, batch.weight.sum()


def weighted_mean(parts: Metrics, weights: Array) -> Metrics:
    """Return the mean over batches of the loss and its parts."""
    return jax.tree.map(lambda part: (part * weights).sum() / weights.sum(), parts)


def _noise(key: Array, batch: Batch, spec: Spec, seeds: NoiseSeeds | None) -> Noise:
    if seeds is None:
        seeds = _seeds(key, batch.weight.shape[0], batch.rows, spec)
    return drawn_noise(seeds, spec)


def _seeds(key: Array, n_cells: int, rows: Array | None, spec: Spec) -> NoiseSeeds:
    n = spec.train.n_particles
    n_shared = min(spec.train.network_samples or n, n)
    return noise_seeds(key, spec, n_particles=n, n_cells=n_cells, rows=rows, n_shared=n_shared)
