"""The optimisers (docs/method.md 6): clip, then coupled weight decay, then Adam or cyclic SGD."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gpo_vae_jax.config import TrainConfig
from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.spec import in_use
from gpo_vae_jax.types import Array

EDGES = ("mask_logits", "mask_probs")  # parameters that `mask_rate` concerns
MOMENTUM_HIGH, MOMENTUM_LOW = 0.9, 0.8  # at the lowest and at the highest rate


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Return the whole chain of transformations, with learning rate and sign.

    Weight decay is added to the clipped gradient, before the moments: coupled L2.
    """
    first = (
        clip_by_global_norm(config.gradient_clip_norm),
        optax.add_decayed_weights(config.weight_decay),
    )
    if config.optimizer == "adam":
        adam = optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8)
        return optax.chain(*first, adam, optax.scale(-config.learning_rate))
    return optax.chain(*first, cyclic_sgd(config))


def rate_at(config: TrainConfig, progress: Array | float) -> Array:
    """Return the share of the learning rate at a point of the run, a scalar.

    Args:
      config: its `schedule`; warmup_cosine rises linearly and then falls along a cosine.
      progress: share of the run's steps that have been taken, 0 to 1.
    """
    if config.schedule == "constant":
        return jnp.ones(())
    rising = progress / max(config.warmup, 1e-9)
    fallen = (progress - config.warmup) / max(1 - config.warmup, 1e-9)
    height = 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(fallen, 0, 1)))
    falling = config.final_rate + (1 - config.final_rate) * height
    return jnp.where(progress < config.warmup, rising, falling)


def scaled(updates: Any, rate: Array, config: TrainConfig) -> Any:
    """Multiply updates by `rate`, and those of the edges' parameters by `mask_rate` as well."""
    if config.schedule == "constant" and not in_use(config.mask_rate - 1):
        return updates

    def factor(path: tuple[Any, ...]) -> Array:
        return rate * (config.mask_rate if path[-1].key in EDGES else 1.0)

    return jax.tree_util.tree_map_with_path(lambda path, u: u * factor(path), updates)


def clip_by_global_norm(max_norm: float) -> optax.GradientTransformation:
    """Scale the gradient by min(1, max_norm / (norm + 1e-6))."""

    def update(
        updates: Any, state: optax.OptState, params: Any = None
    ) -> tuple[Any, optax.OptState]:
        del params
        factor = jnp.minimum(1.0, max_norm / (global_norm(updates) + 1e-6))
        return jax.tree.map(lambda g: g * factor, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def global_norm(gradients: optax.Updates) -> Array:
    """Return the Euclidean norm over all leaves."""
    squares = [jnp.square(leaf) for leaf in jax.tree.leaves(gradients)]
    if on_cpu():
        return jnp.sqrt(sum(jnp.sum(square) for square in squares))
    return jnp.sqrt(_sum_of_all(squares))


def _sum_of_all(arrays: Sequence[Array]) -> Array:
    """Return the sum of all numbers with one sum to a scalar; on a GPU each takes two kernels."""
    rows = [(array if array.ndim < 2 else array.sum(-1)).reshape(-1) for array in arrays]
    longest = max(len(row) for row in rows)
    return reduce(jnp.add, [jnp.pad(row, (0, longest - len(row))) for row in rows]).sum()


class CyclicSGDState(NamedTuple):
    """Steps taken and momentum buffer."""

    count: Array
    buffer: optax.Updates


def cyclic_sgd(config: TrainConfig) -> optax.GradientTransformation:
    """Descend with momentum under a triangular cycle of the learning rate.

    The momentum is lowest where the rate is highest. The buffer of the first step is its gradient.
    """
    low, high, up = config.cyclic_low, config.cyclic_high, config.cyclic_step_size_up

    def init(params: Any) -> CyclicSGDState:
        return CyclicSGDState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, CyclicSGDState]:
        del params
        height = triangle(state.count, up)
        rate = low + (high - low) * height
        momentum = MOMENTUM_HIGH - (MOMENTUM_HIGH - MOMENTUM_LOW) * height
        buffer = jax.tree.map(lambda b, g: momentum * b + g, state.buffer, updates)
        return jax.tree.map(lambda b: -rate * b, buffer), CyclicSGDState(state.count + 1, buffer)

    return optax.GradientTransformation(init, update)


def triangle(step: Array, up: int) -> Array:
    """Return the height, 0 to 1, of a triangular cycle: `up` steps up and as many down."""
    within = step % (2 * up)
    return 1 - jnp.abs(within / up - 1)
