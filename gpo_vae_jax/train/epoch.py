"""One epoch as one program: shuffle, scan over batches, validate, keep the best parameters."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.batches import shuffled
from gpo_vae_jax.train.layout import Layout
from gpo_vae_jax.train.monitors import network_monitors
from gpo_vae_jax.train.state import VALIDATION, TrainState, stream
from gpo_vae_jax.train.step import StepState
from gpo_vae_jax.train.steps import run_steps, validate
from gpo_vae_jax.types import Array, Metrics, Split


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
