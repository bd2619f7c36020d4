"""Gaussian values whose variance depends on the cell (docs/method.md 2)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import jax.numpy as jnp

from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.count_sampling import sample_normal
from gpo_vae_jax.model.heads.head import Head, HeadParams
from gpo_vae_jax.types import Array


class Gaussian(NamedTuple):
    """A Gaussian distribution of values."""

    mean: Array  # [P, B, G]
    variance: Array  # [P, B, G]


class Normal(Head[Gaussian]):
    """`normal`: mean and log-variance are linear layers; the variance is kept finite."""

    linear = ("output", "log_variance")
    draws_counts = False
    in_pytorch: ClassVar = {"output": "mean_encoder", "log_variance": "log_var_encoder"}

    def distribution(self, params: HeadParams, hidden: Array, library_size: Array) -> Gaussian:
        """Return the Gaussian of every gene."""
        del library_size
        variance = jnp.exp(params["log_variance"](hidden)) + dist.VARIANCE_FLOOR
        variance = jnp.where(jnp.isnan(variance), 1e-6, jnp.abs(variance))
        variance = jnp.where(jnp.isposinf(variance), 1e6, variance)
        return Gaussian(params["output"](hidden), variance)

    def log_prob(self, counts: Array, given: Gaussian) -> Array:
        """Return log p(x | z) of every gene, [P, B, G]."""
        return dist.gaussian_log_prob(counts[None], given.mean, given.variance)

    def sample(self, keys: Array, given: Gaussian, genes: Array) -> Array:
        """Draw values, which may be negative."""
        return sample_normal(keys, given.mean, given.variance, genes)
