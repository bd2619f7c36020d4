"""One optimisation step: a pure function of (state, context, batch, noise)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import optax

from gpo_vae_jax.model.precision import products_at
from gpo_vae_jax.objective import loss
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.optimizer import global_norm, make_optimizer, rate_at, scaled
from gpo_vae_jax.types import Array, Batch, Context, Metrics, Noise, Params


class StepState(NamedTuple):
    """What a step changes."""

    params: Params
    optimizer: optax.OptState


def train_step(
    state: StepState, context: Context, batch: Batch, noise: Noise, *, spec: Spec
) -> tuple[StepState, Metrics]:
    """Update the parameters once.

    Returns:
      The new state; the loss before the update, its parts, and "gradient_norm" before clipping.
    """
    gradients, parts = gradients_of(state.params, context, batch, noise, spec=spec)
    return apply_gradients(state, gradients, parts, spec=spec)


def gradients_of(
    params: Params, context: Context, batch: Batch, noise: Noise, *, spec: Spec
) -> tuple[Params, Metrics]:
    """Return the gradients of the loss, and its parts, at the precision of `spec.train`."""
    with products_at(spec.train.precision):
        gradient = jax.grad(loss, has_aux=True)
        return gradient(params, context, batch, noise, spec=spec)


def apply_gradients(
    state: StepState,
    gradients: Params,
    parts: Metrics,
    progress: Array | float = 0.0,
    *,
    spec: Spec,
) -> tuple[StepState, Metrics]:
    """Update the parameters, and add "gradient_norm" to the parts of the loss.

    Args:
      state: before the step.
      gradients: of the loss.
      parts: of the loss.
      progress: share of the run's steps that have been taken, for the schedule.
      spec: sizes and settings.
    """
    updates, optimizer = make_optimizer(spec.train).update(gradients, state.optimizer, state.params)
    updates = scaled(updates, rate_at(spec.train, progress), spec.train)
    parts = {**parts, "gradient_norm": global_norm(gradients)}
    params: Any = optax.apply_updates(state.params, updates)
    return StepState(params, optimizer), parts
