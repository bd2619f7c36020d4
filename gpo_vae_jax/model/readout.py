"""The readout of propagated effects: from changes of network genes to those of all genes.

A network gene changes by its own entry of the effect. Another gene changes by r B, with a
spike-and-slab table B = W * S: W Gaussian, S Bernoulli (docs/method.md 10).
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.tables import gaussian_kl, mask_kl, mean_init, spread_init
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Posterior, ReadoutNoise


class Readout(nn.Module):
    """The posterior of B, [T, O], for the O genes that are not in the network."""

    spec: Spec

    def setup(self):
        """Declare the parameters."""
        shape = (self.spec.sizes.n_treatments, n_others(self.spec))
        self.mask_logits = self.param("mask_logits", nn.initializers.zeros_init(), shape)
        self.mean = self.param("mean", mean_init, shape)
        self.log_variance = self.param("log_variance", spread_init, shape)

    def posterior(self) -> Posterior:
        """Return q(W), [T, O]."""
        return Posterior(self.mean, jnp.exp(self.log_variance))

    def kernel(self, noise: ReadoutNoise | None = None) -> Array:
        """Return the map from effects to logits, [T, G]: of a sample of B, or of its mean.

        Args:
          noise: of the sample; by default the posterior mean of B is taken.
        """
        if noise is None:
            table = jax.nn.sigmoid(self.mask_logits) * self.mean
        else:
            temperature = self.spec.model.temperature
            mask = dist.relaxed_bernoulli(self.mask_logits, noise.mask, temperature)
            table = mask * dist.gaussian_sample(self.posterior(), noise.weight)
        both = jnp.concatenate([table, jnp.eye(len(table), dtype=table.dtype)], axis=1)
        return both[:, _columns(self.spec)]

    def kl(self) -> Array:
        """Return KL(q(B) || p(B)), a scalar."""
        config = self.spec.model
        present = jax.nn.sigmoid(self.mask_logits)
        of_weights = gaussian_kl(self.posterior(), config.readout_prior_scale)
        return jnp.sum(mask_kl(self.mask_logits, config.readout_prior) + present * of_weights)


def n_others(spec: Spec) -> int:
    """Return O, the number of genes that are not in the network."""
    return spec.sizes.n_genes - sum(place >= 0 for place in spec.sizes.network_genes)


def _columns(spec: Spec) -> np.ndarray:
    """Return where each gene is among the O others and the T treatments, [G]."""
    place = np.asarray(spec.sizes.network_genes)
    columns = np.full(spec.sizes.n_genes, -1)
    columns[place[place >= 0]] = n_others(spec) + np.flatnonzero(place >= 0)
    others = columns < 0
    columns[others] = np.arange(others.sum())
    return columns
