"""The readout of propagated effects: from changes of network genes to those of all genes.

A network gene changes by its own entry of the effect. Another gene changes by r B, with a
spike-and-slab table B = W * S: W Gaussian, S Bernoulli (docs/method.md 10).
"""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.tables import gaussian_kl, mask_kl, mean_init, spread_init
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Posterior, ReadoutNoise, Sizes


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
        return _among_genes(table, self.spec.sizes)

    def kl(self) -> Array:
        """Return KL(q(B) || p(B)), a scalar."""
        config = self.spec.model
        present = jax.nn.sigmoid(self.mask_logits)
        of_weights = gaussian_kl(self.posterior(), config.readout_prior_scale)
        return jnp.sum(mask_kl(self.mask_logits, config.readout_prior) + present * of_weights)


def n_others(spec: Spec) -> int:
    """Return O, the number of genes that are not in the network."""
    return len(_others(spec.sizes))


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _among_genes(table: Array, sizes: Sizes) -> Array:
    """Return the map to all genes, [T, G], of that to the others, [T, O].

    Its gradient is written out: on a CPU, picking columns takes a twentieth of the time of adding
    them up.
    """
    place, others = np.asarray(sizes.network_genes), _others(sizes)
    columns = np.zeros(sizes.n_real_genes, int)
    columns[place[place >= 0]] = len(others) + np.flatnonzero(place >= 0)
    columns[others] = np.arange(len(others))
    whole = jnp.concatenate([table, jnp.eye(len(table), dtype=table.dtype)], axis=1)[:, columns]
    return jnp.pad(whole, ((0, 0), (0, sizes.n_filling)))


def _among_genes_forward(table: Array, sizes: Sizes) -> tuple[Array, None]:
    return _among_genes(table, sizes), None


def _among_genes_backward(sizes: Sizes, _: None, cotangent: Array) -> tuple[Array]:
    return (cotangent[:, _others(sizes)],)


_among_genes.defvjp(_among_genes_forward, _among_genes_backward)


def _others(sizes: Sizes) -> np.ndarray:
    """Return the positions of the genes that are not in the network, [O]."""
    return np.setdiff1d(np.arange(sizes.n_real_genes), sizes.network_genes)
