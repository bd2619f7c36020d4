"""The generative model p (docs/method.md 2): priors, latents of a cell, likelihood."""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from gpo_vae_jax.config import ModelConfig
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.cell_effects import CellEffects
from gpo_vae_jax.model.cells import in_turn
from gpo_vae_jax.model.covariates import CovariateTerms
from gpo_vae_jax.model.efficacy import Efficacy
from gpo_vae_jax.model.expected_log import expected_log1p
from gpo_vae_jax.model.heads import Distribution, Head, HeadParams, Linear, head_of
from gpo_vae_jax.model.layers import Dense, ResidualMLP, product
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
            if c.escape_prior:
                self.efficacy = Efficacy(self.spec)
        elif c.sum_mode:
            blocks = (("latent", c.n_latent),)
        else:
            blocks = (("basal", c.n_latent), ("effect", s.n_treatments), ("quality", c.n_latent))
        self.mlp = ResidualMLP(blocks, c.decoder_n_hidden, c.decoder_n_layers + 1)
        if s.categories:
            self.covariates = CovariateTerms(self.spec, c.decoder_n_hidden)
        head, zeros = head_of(c.likelihood_key), nn.initializers.zeros_init()
        self.head_layers = {
            name: Dense(c.decoder_n_hidden, s.n_genes, name=name) for name in head.linear
        }
        shapes = {**dict.fromkeys(head.per_gene, (s.n_genes,)), **head.shared}
        self.head_arrays = {name: self.param(name, zeros, shape) for name, shape in shapes.items()}

    def hidden(
        self,
        basal: Array,
        effects: CellEffects,
        quality: Array,
        failed: Array,
        covariates: Array | None = None,
    ) -> Array:
        """Return the last hidden layer, [P, B, H].

        Propagated effects do not enter it (see `change`). Latent effects are multiplied by their
        weights once per treatment, quality once per particle.

        Args:
          basal: [P, B, L] z_basal.
          effects: of the cells' perturbations.
          quality: [P, Q, L] qcE.
          failed: [B] the quality to decode: 1 adds the effects of all quality columns.
          covariates: [B, K] of the cells, where the data has any; None: of an average cell.
        """
        name = dict.fromkeys(("basal", "effect", "quality"), "latent")
        if not self.spec.model.sum_mode:
            name = {block: block for block in name}
        shares = self.mlp.project(name["basal"], basal)
        if self.spec.sizes.categories:
            shares = shares + self.covariates(covariates)[None]
        if self.spec.model.effect == "latent":
            of_effects = effects.through(lambda rows: self.mlp.project(name["effect"], rows))
            shares = shares + in_turn(of_effects, basal.shape[0])
        bad = self.mlp.project(name["quality"], quality.sum(-2, keepdims=True))  # [P, 1, H]
        return self.mlp(shares + failed[None, :, None] * bad)

    def change(self, effects: CellEffects, readout: ReadoutNoise | None = None) -> Array | None:
        """Return what propagated effects add to the logits, [B, n, G]; None for latent effects.

        It is computed once for every treatment.

        Args:
          effects: of the cells' perturbations.
          readout: noise of the readout; by default its posterior mean is taken.
        """
        if self.spec.model.effect == "latent":
            return None
        kernel = self.readout.kernel(readout)
        return effects.by_cell(lambda rows: product(rows, kernel))

    def distribution(
        self, hidden: Array, library_size: Array, change: Array | None = None
    ) -> Distribution:
        """Return p(x | z) of cells.

        Args:
          hidden: from `hidden`.
          library_size: [B] or [P, B].
          change: from `change`, of n samples, which particles take in turn.
        """
        library_size = library_size if library_size.ndim == 2 else library_size[None]
        return self._head().distribution(self._head_params(change), hidden, library_size)

    def log_prob(self, counts: Array, given: Distribution) -> Array:
        """Return log p(x | z) of every gene, [P, B, G], of counts [B, G]."""
        return self._head().log_prob(counts.astype(jnp.float32), given)

    def log_likelihood(self, hidden: Array, batch: Batch, change: Array | None = None) -> Array:
        """Return log p(x | z) of the cells' counts, summed over genes, [P, B].

        Where cells may escape their perturbation, it is that of the mixture.
        """
        size = batch.library_size.astype(jnp.float32)
        given = self._head_params(change), hidden, batch.counts, size
        if not self.spec.model.escape_prior:
            return self._head().log_likelihood(*given)
        return self._head().log_mixture(*given, self.efficacy.log_shares(batch, batch.rows))

    def weighted_log_likelihood(
        self, hidden: Array, batch: Batch, weight: Array, change: Array | None = None
    ) -> Array:
        """Return the sum of weight [B] * log p(x | z) over particles, cells and genes: a scalar.

        Cheaper to differentiate than `log_likelihood` where the head computes the gradient along
        with the value.
        """
        size = batch.library_size.astype(jnp.float32)
        given = self._head_params(change), hidden, batch.counts, size, weight
        if not self.spec.model.escape_prior:
            return self._head().weighted_log_likelihood(*given)
        shares = self.efficacy.log_shares(batch, batch.rows)
        return self._head().weighted_log_mixture(*given, shares)

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

    def _head_params(self, change: Array | None) -> HeadParams:
        if change is None and self.spec.model.effect == "propagated":
            raise ValueError("propagated effects reach the counts through Decoder.change only")
        layers = {
            name: Linear(layer.kernel, layer.bias, change if name == EFFECT_LAYER else None)
            for name, layer in self.head_layers.items()
        }
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
