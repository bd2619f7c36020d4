"""What is learned of perturbations: mean effects on network genes, and where they act."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.model import bind, sample_shared_noise
from gpo_vae_jax.model.precision import exact_products
from gpo_vae_jax.predict.conditions import Conditions
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Params


def acting_shares(params: Params, conditions: Conditions, *, spec: Spec) -> np.ndarray | None:
    """Return the share of cells in which each condition acts, [C]; None where it always does."""
    if not spec.model.escape_prior:
        return None
    efficacy = bind(params, spec).decoder.efficacy
    return np.exp(np.asarray(efficacy.log_shares(conditions, conditions.rows))[:, 0])


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
