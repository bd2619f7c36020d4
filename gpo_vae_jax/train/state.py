"""The state of a run: everything that later epochs depend on, as a tuple of arrays."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.model import init_params
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.optimizer import make_optimizer
from gpo_vae_jax.train.step import StepState
from gpo_vae_jax.types import Array, Params

# Every random stream of a run is fold_in(key(seed), STREAM), so a resumed run is the same run.
INIT, NOISE, SHUFFLE, VALIDATION = range(4)


class TrainState(NamedTuple):
    """A run between two epochs."""

    current: StepState
    seed: Array  # uint32 scalar: unlike a key, it can be stored and vmapped
    step: Array  # int32 scalar, optimiser steps taken
    epoch: Array  # int32 scalar, epochs finished
    best_params: Params
    best_loss: Array  # float32 scalar, validation loss; inf before the first epoch
    best_epoch: Array  # int32 scalar; -1 before the first epoch


def init_state(
    seed: Array | int,
    *,
    spec: Spec,
    mask_init: float = 0.0,
    knowledge: np.ndarray | None = None,
) -> TrainState:
    """Return the initial state of a run; a pure function of the seed, so `vmap` starts many.

    Args:
      seed: of every random number of the run.
      spec: sizes and settings.
      mask_init: `config.model.mask_init`, which the spec does not carry.
      knowledge: [T, T] prior probabilities of edges, nan where unknown (see `init_params`).

    Raises:
      ConfigError: sizes and settings do not fit together.
    """
    seed = jnp.asarray(seed, jnp.uint32)
    params = init_params(stream(seed, INIT), spec, mask_init=mask_init, knowledge=knowledge)
    return TrainState(
        current=StepState(params, make_optimizer(spec.train).init(params)),
        seed=seed,
        step=jnp.zeros((), jnp.int32),
        epoch=jnp.zeros((), jnp.int32),
        best_params=params,
        best_loss=jnp.full((), jnp.inf, jnp.float32),
        best_epoch=jnp.full((), -1, jnp.int32),
    )


def stream(seed: Array, name: int, *at: Array) -> jax.Array:
    """Return the key of a random stream at a point of the run, such as an epoch or a step."""
    key = jax.random.fold_in(jax.random.key(seed), name)
    for number in at:
        key = jax.random.fold_in(key, number)
    return key
