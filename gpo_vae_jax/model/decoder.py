"""The generative model p (docs/method.md 2): priors, latents of a cell, likelihood."""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from gpo_vae_jax.config import ModelConfig
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.cell_effects import CellEffects
from gpo_vae_jax.model.expected_log import expected_log1p
from gpo_vae_jax.model.heads import Distribution, Head, HeadParams, Linear, head_of
from gpo_vae_jax.model.layers import Dense, ResidualMLP
from gpo_vae_jax.model.readout import Readout
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Batch, ReadoutNoise

PER = 10_000.0  # counts to which cells are scaled before the logarithm
EFFECT_LAYER = "output"  # the linear layer of a head to which propagated effects are added


class Decoder(nn.Module):
    """The map from latents to the distribution of counts."""

    spec: Spec

    def setup(self):
        """Declare the parameters, those of the likelihood head in this module's own scope."""
        c, s = self.spec.model, self.spec.sizes
        if c.effect == "propagated":
            blocks = (("basal", c.n_latent), ("quality", c.n_latent))
            self.readout = Readout(self.spec)
        elif c.sum_mode:
            blocks = (("latent", c.n_latent),)
        else:
            blocks = (("basal", c.n_latent), ("effect", s.n_treatments), ("quality", c.n_latent))
        self.mlp = ResidualMLP(blocks, c.decoder_n_hidden, c.decoder_n_layers + 1)
        head, zeros = head_of(c.likelihood_key), nn.initializers.zeros_init()
        self.head_layers = {
            name: Dense(c.decoder_n_hidden, s.n_genes, name=name) for name in head.linear
        }
        shapes = {**dict.fromkeys(head.per_gene, (s.n_genes,)), **head.shared}
        self.head_arrays = {name: self.param(name, zeros, shape) for name, shape in shapes.items()}

    def hidden(self, basal: Array, effects: CellEffects, quality: Array, failed: Array) -> Array:
        """Return what the likelihood head maps to genes, [P, B, H].

        It is the last hidden layer. Propagated effects do not enter the hidden layers: they are
        appended to the last one, [P, B, H + T], and the readout is part of the head's weights.
        Latent effects are multiplied by their weights once per treatment, quality once per
        particle.

        Args:
          basal: [P, B, L] z_basal.
          effects: of the cells' perturbations.
          quality: [P, Q, L] qcE.
          failed: [B] the quality to decode: 1 adds the effects of all quality columns.
        """
        propagated = self.spec.model.effect == "propagated"
        name = dict.fromkeys(("basal", "effect", "quality"), "latent")
        if not self.spec.model.sum_mode:
            name = {block: block for block in name}
        shares = self.mlp.project(name["basal"], basal)
        if not propagated:
            shares = shares + effects.through(lambda rows: self.mlp.project(name["effect"], rows))
        bad = self.mlp.project(name["quality"], quality.sum(-2, keepdims=True))  # [P, 1, H]
        last = self.mlp(shares + failed[None, :, None] * bad)
        if not propagated:
            return last
        change = effects.of_cells()
        shape = jnp.broadcast_shapes(last.shape[:-1], change.shape[:-1])
        parts = [jnp.broadcast_to(part, (*shape, part.shape[-1])) for part in (last, change)]
        return jnp.concatenate(parts, axis=-1)

    def distribution(
        self, hidden: Array, library_size: Array, readout: ReadoutNoise | None = None
    ) -> Distribution:
        """Return p(x | z) of cells.

        Args:
          hidden: from `hidden`.
          library_size: [B] or [P, B].
          readout: noise of the readout of propagated effects; by default its posterior mean.
        """
        library_size = library_size if library_size.ndim == 2 else library_size[None]
        return self._head().distribution(self._head_params(readout), hidden, library_size)

    def log_prob(self, counts: Array, given: Distribution) -> Array:
        """Return log p(x | z) of every gene, [P, B, G], of counts [B, G]."""
        return self._head().log_prob(counts.astype(jnp.float32), given)

    def log_likelihood(
        self, hidden: Array, batch: Batch, readout: ReadoutNoise | None = None
    ) -> Array:
        """Return log p(x | z) of the cells' counts, summed over genes, [P, B]."""
        size = batch.library_size.astype(jnp.float32)
        return self._head().log_likelihood(self._head_params(readout), hidden, batch.counts, size)

    def weighted_log_likelihood(
        self, hidden: Array, batch: Batch, weight: Array, readout: ReadoutNoise | None = None
    ) -> Array:
        """Return the sum of weight [B] * log p(x | z) over particles, cells and genes: a scalar.

        Cheaper to differentiate than `log_likelihood` where the head computes the gradient along
        with the value.
        """
        size = batch.library_size.astype(jnp.float32)
        return self._head().weighted_log_likelihood(
            self._head_params(readout), hidden, batch.counts, size, weight
        )

    def expected_log2(self, given: Distribution, library_size: Array) -> Array | None:
        """Return E[log2(1 + 10,000 x / library size)], [P, B, G]; None without a closed form.

        Args:
          given: from `distribution`.
          library_size: [B] or [P, B].
        """
        size = library_size if library_size.ndim == 2 else library_size[None]
        scale = PER / size[..., None]
        head = self._head()
        if not head.has_laplace_transform:
            return None
        log1p = expected_log1p(lambda u: head.laplace_transform(given, u), given.mean, scale)
        return log1p / math.log(2)

    def sample(self, keys: Array, given: Distribution, genes: Array) -> Array:
        """Draw counts, [P, B, G], from keys [P, B] and the genes' numbers [G] uint32."""
        return self._head().sample(keys, given, genes)

    def _head(self) -> Head[Any]:
        return head_of(self.spec.model.likelihood_key)

    def _head_params(self, readout: ReadoutNoise | None = None) -> HeadParams:
        layers = {
            name: Linear(layer.kernel, layer.bias) for name, layer in self.head_layers.items()
        }
        if self.spec.model.effect == "propagated":
            reads = self.readout.kernel(readout)
            for name, layer in layers.items():  # the effect moves the mean, and nothing else
                below = reads if name == EFFECT_LAYER else jnp.zeros_like(reads)
                layers[name] = Linear(jnp.concatenate([layer.kernel, below]), layer.bias)
        return {**layers, **self.head_arrays}


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
