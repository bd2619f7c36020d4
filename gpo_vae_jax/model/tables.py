"""Posteriors kept as tables of parameters: initial values, and divergences in closed form."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Float

from gpo_vae_jax.model.distributions import logits_from_probs
from gpo_vae_jax.types import Array, Posterior


def mean_init(key: Array, shape: tuple[int, ...]) -> Array:
    """Draw initial means: near 0, so that no effect has a sign yet."""
    return 0.1 * jax.random.normal(key, shape)


def spread_init(key: Array, shape: tuple[int, ...]) -> Array:
    """Return initial log variances: standard deviations of 0.14."""
    del key
    return jnp.full(shape, -4.0)


def mask_kl(logits: Float[Array, "*s"], prior: float) -> Float[Array, "*s"]:
    """Return KL(Bernoulli(logits) || Bernoulli(prior)), elementwise."""
    present = jax.nn.sigmoid(logits)
    prior_logit = logits_from_probs(jnp.float32(prior))
    log_ratio_absent = jax.nn.softplus(prior_logit) - jax.nn.softplus(logits)
    return present * (logits - prior_logit) + log_ratio_absent


def gaussian_kl(posterior: Posterior, prior_scale: float) -> Array:
    """Return KL(posterior || N(0, prior_scale^2)), elementwise."""
    ratio = posterior.variance / prior_scale**2
    distance = jnp.square(posterior.mean) / prior_scale**2
    return 0.5 * (ratio + distance - 1 - jnp.log(ratio))
