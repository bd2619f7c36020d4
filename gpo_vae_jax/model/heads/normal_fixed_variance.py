"""Gaussian values with one variance a gene (docs/method.md 2)."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp

from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.count_sampling import sample_normal
from gpo_vae_jax.model.heads.head import Head, HeadParams
from gpo_vae_jax.model.heads.normal import Gaussian
from gpo_vae_jax.types import Array


class NormalFixedVariance(Head[Gaussian]):
    """`normal_fixed_variance`: the mean is a linear layer, the log-variance a parameter."""

    linear = ("output",)
    per_gene = ("log_variance",)
    draws_counts = False
    in_pytorch: ClassVar = {"output": "mean_encoder", "log_variance": "log_var_encoder.log_var"}

    def distribution(self, params: HeadParams, hidden: Array, library_size: Array) -> Gaussian:
        """Return the Gaussian of every gene."""
        del library_size
        mean = params["output"](hidden)
        variance = jnp.exp(params["log_variance"]) + dist.VARIANCE_FLOOR
        return Gaussian(mean, jnp.broadcast_to(variance[None, None], mean.shape))

    def log_prob(self, counts: Array, given: Gaussian) -> Array:
        """Return log p(x | z) of every gene, [P, B, G]."""
        return dist.gaussian_log_prob(counts[None], given.mean, given.variance)

    def sample(self, keys: Array, given: Gaussian, genes: Array) -> Array:
        """Draw values, which may be negative."""
        return sample_normal(keys, given.mean, given.variance, genes)
