"""The generative model p (docs/method.md 2): priors, latents of a cell and likelihood heads."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpo_vae_jax.config import ModelConfig
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model import negative_binomial
from gpo_vae_jax.model.cells import dosage_sum
from gpo_vae_jax.model.layers import Dense, ResidualMLP
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Batch


class CountDistribution(NamedTuple):
    """Hold p(x | z) of every gene: what a head puts out. Shapes [..., B, G]."""

    mean: Array
    variance: Array
    rate: Array | None = None  # of the Gamma (library_nb) or the Poisson
    concentration: Array | None = None  # [G], library_nb


class Decoder(nn.Module):
    """Map latents to the distribution of counts."""

    spec: Spec

    def setup(self):
        c, s = self.spec.model, self.spec.sizes
        if c.sum_mode:
            blocks = (("latent", c.n_latent),)
        else:
            blocks = (("basal", c.n_latent), ("effect", s.n_treatments), ("quality", c.n_latent))
        self.mlp = ResidualMLP(blocks, c.decoder_n_hidden, c.decoder_n_layers + 1)
        self.output = Dense(c.decoder_n_hidden, s.n_genes)  # logits, rate or mean
        zeros = nn.initializers.zeros_init()
        if c.likelihood_key == "library_nb":
            self.log_concentration = self.param("log_concentration", zeros, (s.n_genes,))
        elif c.likelihood_key == "normal":
            self.log_variance = Dense(c.decoder_n_hidden, s.n_genes)
        elif c.likelihood_key == "normal_fixed_variance":
            self.log_variance = self.param("log_variance", zeros, (s.n_genes,))

    def hidden(
        self, basal: Array, effect: Array, quality: Array, failed: Array, batch: Batch
    ) -> Array:
        """Return the last hidden layer, [P, B, H].

        Effects meet their weights once per treatment, quality once per particle.

        Args:
          basal: [P, B, L] z_basal.
          effect: [P, R, T] E * M.
          quality: [P, Q, L] qcE.
          failed: [B] the quality to decode: 1 adds the effects of all quality columns.
        """
        name = dict.fromkeys(("basal", "effect", "quality"), "latent")
        if not self.spec.model.sum_mode:
            name = {block: block for block in name}
        shares = self.mlp.project(name["basal"], basal)
        shares = shares + dosage_sum(self.mlp.project(name["effect"], effect), batch)
        bad = self.mlp.project(name["quality"], quality.sum(-2, keepdims=True))  # [P, 1, H]
        return self.mlp(shares + failed[None, :, None] * bad)

    def distribution(self, hidden: Array, library_size: Array) -> CountDistribution:
        """Return p(x | z) from the last hidden layer [P, B, H] and library sizes [B] or [P, B]."""
        kind, out = self.spec.model.likelihood_key, self.output(hidden)
        if kind == "library_nb":
            library_size = library_size if library_size.ndim == 2 else library_size[None]
            mu = library_size[..., None] * jax.nn.softmax(out, axis=-1)
            concentration = jnp.exp(self.log_concentration)
            wide = concentration[None, None]
            rate = dist.clamp(wide / (mu + 1e-4), low=dist.RATE_FLOOR)
            mean = wide / rate
            return CountDistribution(mean, mean * (1 + 1 / rate), rate, concentration)
        if kind == "poisson":
            rate = dist.clamp(jax.nn.softplus(out), low=dist.RATE_FLOOR)
            return CountDistribution(rate, rate, rate)
        if kind == "normal":
            variance = jnp.exp(self.log_variance(hidden)) + dist.VARIANCE_FLOOR
            variance = jnp.where(jnp.isnan(variance), 1e-6, jnp.abs(variance))
            return CountDistribution(out, jnp.where(jnp.isposinf(variance), 1e6, variance))
        variance = jnp.exp(self.log_variance) + dist.VARIANCE_FLOOR
        return CountDistribution(out, jnp.broadcast_to(variance[None, None], out.shape))

    def log_likelihood(self, hidden: Array, batch: Batch) -> Array:
        """Return log p(x | z) of the cells' counts, summed over genes, [P, B]."""
        if self.spec.model.likelihood_key == "library_nb":
            return negative_binomial.log_likelihood(*self._head(hidden, batch))
        library_size = batch.library_size.astype(jnp.float32)
        return self.log_prob(batch.counts, self.distribution(hidden, library_size)).sum(-1)

    def weighted_log_likelihood(self, hidden: Array, batch: Batch, weight: Array) -> Array:
        """Return the sum of weight [B] * log p(x | z) over particles, cells and genes: a scalar.

        Cheaper to differentiate than `log_likelihood`: the gradient comes with the value.
        """
        if self.spec.model.likelihood_key == "library_nb":
            return negative_binomial.weighted_log_likelihood(*self._head(hidden, batch), weight)
        return jnp.sum(weight[None] * self.log_likelihood(hidden, batch))

    def _head(self, hidden: Array, batch: Batch) -> tuple[Array, ...]:
        parameters = (self.output.kernel, self.output.bias, self.log_concentration)
        return hidden, *parameters, batch.counts, batch.library_size.astype(jnp.float32)

    def log_prob(self, counts: Array, given: CountDistribution) -> Array:
        """Return log p(x | z) of every gene, [P, B, G], of counts [B, G]."""
        x, kind = counts.astype(jnp.float32), self.spec.model.likelihood_key
        if kind == "library_nb":
            concentration = given.concentration[None]  # [1, G]: gammas are taken per cell and gene
            gammas = dist.negative_binomial_gammas(x, concentration)
            return gammas[None] + dist.negative_binomial_rate_terms(
                x[None], given.rate, concentration[None]
            )
        if kind == "poisson":
            return dist.poisson_log_prob(x[None], given.rate)
        return dist.gaussian_log_prob(x[None], given.mean, given.variance)


def prior_mask(mask: Array, config: ModelConfig) -> Array:
    """Return log p(M), elementwise."""
    prior = config.mask_prior
    return dist.bernoulli_log_prob(mask, dist.logits_from_probs(jnp.float32(prior)))


def prior_effect(values: Array, config: ModelConfig) -> Array:
    """Return log p(E) or log p(qcE), elementwise."""
    return dist.gaussian_log_prob(values, 0.0, jnp.float32(config.embedding_prior_scale**2))


def prior_basal(values: Array) -> Array:
    """Return log p(z_basal), elementwise."""
    return dist.gaussian_log_prob(values, 0.0, jnp.float32(1))
