"""The guide q (docs/method.md 3): posteriors of the network, its effects, quality and cells."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.blocks import over_last
from gpo_vae_jax.model.cells import dosage_sum, for_particles
from gpo_vae_jax.model.layers import GaussianHead
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Batch, InputStatistics, Posterior, SharedNoise


class SharedSample(NamedTuple):
    """One sample per particle of the variables that cells share, and its log-density.

    Only the R rows of perturbed treatments are sampled: no cell uses another row.
    """

    mask: Array  # [P, R, T] 0/1, straight-through
    embedding: Array  # [P, R, T]
    quality: Array  # [P, Q, L]
    log_q_mask: Array  # [P, R] summed over the row
    log_q_embedding: Array  # [P, R]
    log_q_quality: Array  # [P, Q]

    @property
    def effect(self) -> Array:
        """Return E * M, the latent effect of each treatment, [P, R, T]."""
        return self.embedding * self.mask


class Guide(nn.Module):
    """The parameters of q, and its posteriors."""

    spec: Spec

    def setup(self):
        """Declare the parameters."""
        c, s = self.spec.model, self.spec.sizes
        shape = (s.n_treatments, s.n_treatments)
        name = f"mask_{c.logits_or_probs}"
        self.mask_parameter = self.param(name, nn.initializers.zeros_init(), shape)
        deep = (c.embedding_encoder_n_hidden, c.embedding_encoder_n_layers)
        self.embedding_encoder = GaussianHead(
            (("mask", s.n_treatments), ("treatment", s.n_treatments)), *deep, s.n_treatments
        )
        self.quality_encoder = GaussianHead((("constant", c.n_latent),), *deep, c.n_latent)
        blocks = (("expression", s.n_genes),)
        if not c.mean_field_encoder:
            blocks += (("effect", s.n_treatments), ("quality", c.n_latent))
        self.basal_encoder = GaussianHead(
            blocks, c.basal_encoder_n_hidden, c.basal_encoder_n_layers, c.n_latent
        )

    def mask_values(self) -> Array:
        """Return the parameter of q(M), [T, T]: finite logits, or probabilities within [0, 1]."""
        values = self.mask_parameter
        values = jnp.where(jnp.isfinite(values), values, 0)
        kind = self.spec.model.logits_or_probs
        return values if kind == "logits" else dist.clamp(values, 0, 1)

    def mask_logits(self) -> Array:
        """Return the log-odds of every edge, [T, T]."""
        values = self.mask_values()
        return (
            values
            if self.spec.model.logits_or_probs == "logits"
            else dist.logits_from_probs(values)
        )

    def mask_probs(self) -> Array:
        """Return the probability of every edge, [T, T]: the learned network."""
        values = self.mask_values()
        return jax.nn.sigmoid(values) if self.spec.model.logits_or_probs == "logits" else values

    def sample_shared(self, noise: SharedNoise, rows: Array | None = None) -> SharedSample:
        """Sample M ~ q(M), E ~ q(E | M) and qcE ~ q(qcE).

        Args:
          noise: of this guide pass.
          rows: [R'] the treatments whose rows are sampled; by default the R perturbed ones.
        """
        logits = self.mask_logits()
        logits = logits[: self.spec.sizes.n_perturbed] if rows is None else logits[rows]
        log_q_empty = -jax.nn.softplus(logits).sum(-1)[None]  # of rows without edges
        logits = for_particles(logits, noise.mask.shape[0])
        mask = dist.relaxed_bernoulli(logits, noise.mask, self.spec.model.temperature)
        embedding = self.embedding_posterior(mask, rows)
        quality = Posterior(*(value[None] for value in self.quality_posterior()))
        sample, log_q_embedding = dist.gaussian_sampled(embedding, noise.embedding)
        return SharedSample(
            mask=mask,
            embedding=sample,
            quality=dist.gaussian_sample(quality, noise.quality),
            log_q_mask=over_last(mask * logits) + log_q_empty,
            log_q_embedding=log_q_embedding,
            log_q_quality=dist.gaussian_sample_log_prob(quality, noise.quality).sum(-1),
        )

    def embedding_posterior(self, mask: Array, rows: Array | None = None) -> Posterior:
        """Return q(E | M) from the rows of M, both [P, R, T] (`rows`: see `sample_shared`)."""
        encoder = self.embedding_encoder
        n = self.spec.sizes.n_perturbed if rows is None else self.spec.sizes.n_treatments
        treatment = encoder.rows("treatment", n)
        treatment = treatment if rows is None else treatment[rows]
        return encoder(encoder.project("mask", mask) + for_particles(treatment, mask.shape[0]))

    def quality_posterior(self) -> Posterior:
        """Return q(qcE), [Q, L]; every quality column is encoded from the same constant."""
        ones = jnp.ones((self.spec.sizes.n_quality, self.spec.model.n_latent))
        return self.quality_encoder(self.quality_encoder.project("constant", ones))

    def encode_counts(self, counts: Array, statistics: InputStatistics) -> Array:
        """Return what the counts [B, G] add to the basal encoder's first layer, [B, H]."""
        return self.basal_encoder.project("expression", self._normalise(counts, statistics))

    def basal_posteriors(
        self, encoded: Array, batch: Batch, shared: SharedSample, *told: Array
    ) -> tuple[Posterior, ...]:
        """Return q(z_basal | ...) under each quality that it is told.

        Args:
          encoded: [B, H] from `encode_counts`; the counts need not be those of `batch`.
          batch: the cells; their perturbations enter, counts and quality do not.
          shared: sample of the variables shared by cells.
          told: each [B, Q], a quality.

        Returns:
          A posterior for each of `told`, [P, B, L] ([1, B, L] for the mean-field encoder).
        """
        encoder = self.basal_encoder
        if self.spec.model.mean_field_encoder:
            return (encoder(encoded[None]),) * len(told)
        effects = dosage_sum(encoder.project("effect", shared.effect), batch)  # [P, B, H]

        def posterior(qc_fail: Array) -> Posterior:
            quality = encoder.project("quality", shared.quality)  # [P, Q, H]
            flags = qc_fail.astype(quality.dtype)
            shares = for_particles(encoded, effects.shape[0]) + effects
            return encoder(shares + jnp.einsum("bq,pqh->pbh", flags, quality))

        return tuple(posterior(qc_fail) for qc_fail in told)

    def basal_posterior(
        self, batch: Batch, statistics: InputStatistics, shared: SharedSample
    ) -> Posterior:
        """Return q(z_basal | x, d, c, E, M, C) of cells as they are (see `basal_posteriors`)."""
        encoded = self.encode_counts(batch.counts, statistics)
        (posterior,) = self.basal_posteriors(encoded, batch, shared, batch.qc_fail)
        return posterior

    def _normalise(self, counts: Array, statistics: InputStatistics) -> Array:
        x = counts.astype(jnp.float32)
        kind = self.spec.model.input_normalization
        if kind == "log_standardize":
            return (jnp.log(1 + x) - statistics.log_mean[None]) / statistics.log_std[None]
        if kind == "standardize":
            return (x - statistics.mean[None]) / statistics.std[None]
        return x
