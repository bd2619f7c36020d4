"""The mean effect of perturbations on the network genes, over draws from the guide."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from gpo_vae_jax.model import bind, sample_shared_noise
from gpo_vae_jax.model.precision import exact_products
from gpo_vae_jax.predict.conditions import Conditions
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Params


@partial(jax.jit, static_argnames=("n_particles", "spec"))
@exact_products
def mean_effects(
    params: Params,
    conditions: Conditions,
    seed: Array | int,
    *,
    spec: Spec,
    n_particles: int = 100,
) -> Array:
    """Return the mean effect of each condition on each network gene, [C, T].

    Latent effects are rows of E * M; propagated effects are changes of natural-log expression.
    """
    guide = bind(params, spec).guide
    noise = sample_shared_noise(
        jax.random.key(seed), spec, jnp.arange(n_particles), conditions.rows
    )
    shared = guide.sample_shared(noise, conditions.rows)
    return guide.effects(shared, conditions, conditions.rows).of_cells().mean(0)
