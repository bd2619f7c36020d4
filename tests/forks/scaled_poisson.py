"""A likelihood head of one's own: Poisson counts, with a capture efficiency for each gene."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.count_sampling import sample_counts
from gpo_vae_jax.model.heads import Head, HeadParams
from gpo_vae_jax.model.heads.poisson import Rates
from gpo_vae_jax.types import Array


class ScaledPoisson(Head[Rates]):
    """Rate = library size * depth * efficiency of the gene * softmax of a linear layer."""

    linear = ("output",)
    per_gene = ("log_efficiency",)
    shared = {"log_depth": ()}  # noqa: RUF012

    def distribution(self, params: HeadParams, hidden: Array, library_size: Array) -> Rates:
        """Return the Poisson distribution of every gene."""
        share = jax.nn.softmax(params["output"](hidden), axis=-1)
        scale = jnp.exp(params["log_efficiency"] + params["log_depth"][None])
        return Rates(library_size[..., None] * share * scale[None, None] + dist.RATE_FLOOR)

    def log_prob(self, counts: Array, given: Rates) -> Array:
        """Return log p(x | z) of every gene, [P, B, G]."""
        return dist.poisson_log_prob(counts[None], given.mean)

    def sample(self, keys: Array, given: Rates, genes: Array) -> Array:
        """Draw whole counts."""
        return sample_counts(keys, given.mean, None, genes)
