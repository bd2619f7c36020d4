"""Negative binomial counts whose mean is a share of the cell's library size (docs/method.md 2)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model import negative_binomial
from gpo_vae_jax.model.count_sampling import sample_counts
from gpo_vae_jax.model.heads.head import Head, HeadParams
from gpo_vae_jax.model.negative_binomial_parts import (
    IDLE_BIAS,
    IDLE_LOG_CONCENTRATION,
    MEAN_FLOOR,
)
from gpo_vae_jax.types import Array


class NegativeBinomial(NamedTuple):
    """A Gamma-Poisson distribution of counts."""

    mean: Array  # [P, B, G]
    variance: Array  # [P, B, G]
    rate: Array  # [P, B, G] of the Gamma
    concentration: Array  # [G] of the Gamma


class LibraryNB(Head[NegativeBinomial]):
    """`library_nb`: one concentration a gene."""

    linear = ("output",)  # logits of the shares
    per_gene = ("log_concentration",)
    has_laplace_transform = True
    idle: ClassVar = {"output": IDLE_BIAS, "log_concentration": IDLE_LOG_CONCENTRATION}
    in_pytorch: ClassVar = {
        "output": "normalized_mean_decoder.0",
        "log_concentration": "log_concentration",
    }

    def distribution(
        self, params: HeadParams, hidden: Array, library_size: Array
    ) -> NegativeBinomial:
        """Return the negative binomial of every gene."""
        mu = library_size[..., None] * jax.nn.softmax(params["output"](hidden), axis=-1)
        concentration = jnp.exp(params["log_concentration"])
        wide = concentration[None, None]
        rate = dist.clamp(wide / (mu + MEAN_FLOOR), low=dist.RATE_FLOOR)
        mean = wide / rate
        return NegativeBinomial(mean, mean * (1 + 1 / rate), rate, concentration)

    def log_prob(self, counts: Array, given: NegativeBinomial) -> Array:
        """Return log p(x | z) of every gene, [P, B, G]."""
        concentration = given.concentration[None]  # [1, G]: gammas are taken per cell and gene
        gammas = dist.negative_binomial_gammas(counts, concentration)
        return gammas[None] + dist.negative_binomial_rate_terms(
            counts[None], given.rate, concentration[None]
        )

    def sample(self, keys: Array, given: NegativeBinomial, genes: Array) -> Array:
        """Draw whole counts."""
        return sample_counts(keys, given.mean, given.concentration, genes)

    def laplace_transform(self, given: NegativeBinomial, u: Array) -> Array:
        """Return (1 + (1 - exp(-u)) / rate)^(-concentration)."""
        concentration = given.concentration[None, None]
        return jnp.exp(-concentration * jnp.log1p(-jnp.expm1(-u) / given.rate))

    def log_likelihood(
        self, params: HeadParams, hidden: Array, counts: Array, library_size: Array
    ) -> Array:
        """Return log p(x | z) summed over genes; its gradient is written out."""
        kernel, bias, change = params["output"]
        return negative_binomial.log_likelihood(
            hidden, kernel, bias, params["log_concentration"], counts, library_size, change
        )

    def weighted_log_likelihood(
        self, params: HeadParams, hidden: Array, counts: Array, library_size: Array, weight: Array
    ) -> Array:
        """Return the weighted sum, with value and gradient from one pass."""
        kernel, bias, change = params["output"]
        return negative_binomial.weighted_log_likelihood(
            hidden, kernel, bias, params["log_concentration"], counts, library_size, weight, change
        )

    def weighted_log_mixture(
        self,
        params: HeadParams,
        hidden: Array,
        counts: Array,
        library_size: Array,
        weight: Array,
        log_shares: Array,
    ) -> Array:
        """Return the weighted sum of the mixture, with value and gradient from one pass."""
        kernel, bias, change = params["output"]
        return negative_binomial.weighted_log_likelihood(
            hidden, kernel, bias, params["log_concentration"], counts, library_size, weight, change,
            log_shares,
        )  # fmt: skip
