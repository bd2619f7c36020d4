"""Poisson counts that ignore the library size (docs/method.md 2)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.count_sampling import sample_counts
from gpo_vae_jax.model.heads.head import Head, HeadParams
from gpo_vae_jax.types import Array


class Rates(NamedTuple):
    """A Poisson distribution of counts."""

    mean: Array  # [P, B, G] the rate

    @property
    def variance(self) -> Array:
        """Variance of the count, [P, B, G]."""
        return self.mean


class Poisson(Head[Rates]):
    """`poisson`: the rate is the softplus of a linear layer."""

    linear = ("output",)
    has_laplace_transform = True
    in_pytorch: ClassVar = {"output": "rate_decoder.0"}

    def distribution(self, params: HeadParams, hidden: Array, library_size: Array) -> Rates:
        """Return the Poisson distribution of every gene."""
        del library_size
        return Rates(dist.clamp(jax.nn.softplus(params["output"](hidden)), low=dist.RATE_FLOOR))

    def log_prob(self, counts: Array, given: Rates) -> Array:
        """Return log p(x | z) of every gene, [P, B, G]."""
        return dist.poisson_log_prob(counts[None], given.mean)

    def laplace_transform(self, given: Rates, u: Array) -> Array:
        """Return exp(-rate (1 - exp(-u)))."""
        return jnp.exp(given.mean * jnp.expm1(-u))

    def sample(self, keys: Array, given: Rates, genes: Array) -> Array:
        """Draw whole counts."""
        return sample_counts(keys, given.mean, None, genes)
