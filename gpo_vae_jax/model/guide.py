"""The guide q (docs/method.md 3): posteriors of the network, its effects, quality and cells."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.blocks import on_cpu, over_last
from gpo_vae_jax.model.cell_effects import CellEffects, cell_effects
from gpo_vae_jax.model.cells import Perturbed, for_particles, picked
from gpo_vae_jax.model.covariates import CovariateTerms
from gpo_vae_jax.model.layers import GaussianHead
from gpo_vae_jax.model.precision import as_read
from gpo_vae_jax.model.tables import gaussian_kl, mask_kl, mean_init, spread_init
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Batch, InputStatistics, Posterior, SharedNoise


class SharedSample(NamedTuple):
    """One sample per particle of the variables that cells share, and its log-density.

    With latent effects only the R rows of perturbed treatments are sampled: no cell uses another
    row. Propagated effects travel through all T rows, and R is T. Log-densities are those of the
    particles that were scored.
    """

    mask: Array  # [P, R, T] 0/1, straight-through
    embedding: Array  # [P, R, T]
    quality: Array  # [P, Q, L]
    log_q_mask: Array  # [P, R] summed over the row
    log_q_embedding: Array  # [P, R]
    log_q_quality: Array  # [P, Q]


class Told(NamedTuple):
    """What the basal encoder is told about cells."""

    encoded: Array  # [B, H] from `encode_counts`
    effects: CellEffects  # of the cells' perturbations
    quality: Array  # [P, Q, L] sample of qcE
    qc_fail: Array  # [B, Q] a quality, not always the cell's own


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
        if c.effect_guide == "table":
            self.embedding_mean = self.param("embedding_mean", mean_init, shape)
            self.embedding_log_variance = self.param("embedding_log_variance", spread_init, shape)
        else:
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
        if s.categories:
            self.covariates = CovariateTerms(self.spec, c.basal_encoder_n_hidden)

    def mask_values(self) -> Array:
        """Return the parameter of q(M), [T, T]: finite logits, or probabilities within [0, 1]."""
        values = self.mask_parameter
        values = jnp.where(jnp.isfinite(values), values, 0)
        kind = self.spec.model.logits_or_probs
        return values if kind == "logits" else dist.clamp(values, 0, 1)

    def mask_logits(self) -> Array:
        """Return the log-odds of every edge, [T, T]."""
        return self._logits(self.mask_values())

    def _logits(self, values: Array) -> Array:
        kind = self.spec.model.logits_or_probs
        return values if kind == "logits" else dist.logits_from_probs(values)

    def mask_probs(self) -> Array:
        """Return the probability of every edge, [T, T]: the learned network."""
        values = self.mask_values()
        return jax.nn.sigmoid(values) if self.spec.model.logits_or_probs == "logits" else values

    def mask_rows(self, rows: Array | None = None) -> Array:
        """Return the rows of `mask_values` that are sampled (`rows`: see `sample_shared`)."""
        values, rows = self.mask_values(), self._sampled(rows)
        return values[: self.spec.sizes.n_perturbed] if rows is None else picked(values, rows)

    def sample_shared(
        self,
        noise: SharedNoise,
        rows: Array | None = None,
        values: Array | None = None,
        n_scored: int | None = None,
    ) -> SharedSample:
        """Sample M ~ q(M), E ~ q(E | M) and qcE ~ q(qcE).

        Args:
          noise: of this guide pass.
          rows: [R'] the treatments whose rows are sampled; by default the R perturbed ones.
            Propagated effects sample all T rows anyway.
          values: of these rows, from `mask_rows`, if they are at hand.
          n_scored: number of particles whose log-densities are wanted, the first; by default all.
        """
        n_scored = noise.mask.shape[0] if n_scored is None else n_scored
        logits = self._logits(self.mask_rows(rows) if values is None else values)
        rows = self._sampled(rows)
        log_q_empty = -jax.nn.softplus(logits).sum(-1)[None]  # of rows without edges
        logits = for_particles(logits, noise.mask.shape[0])
        mask = dist.relaxed_bernoulli(logits, noise.mask, self.spec.model.temperature)
        embedding = self.embedding_posterior(mask, rows)
        quality = Posterior(*(value[None] for value in self.quality_posterior()))
        sample, log_q_embedding = dist.gaussian_sampled(embedding, noise.embedding, n_scored)
        return SharedSample(
            mask=mask,
            embedding=sample,
            quality=dist.gaussian_sample(quality, noise.quality),
            log_q_mask=over_last(mask[:n_scored] * logits[:n_scored]) + log_q_empty,
            log_q_embedding=log_q_embedding,
            log_q_quality=dist.gaussian_sample_log_prob(quality, noise.quality[:n_scored]).sum(-1),
        )

    def effects(
        self, shared: SharedSample, cells: Perturbed, rows: Array | None = None
    ) -> CellEffects:
        """Return the effects of cells under a sample.

        Args:
          shared: the sample.
          cells: the perturbations.
          rows: the treatments that they index; by default the R perturbed ones. With latent effects
            it must be what the sample was drawn for.
        """
        return cell_effects(shared.embedding, shared.mask, cells, spec=self.spec, rows=rows)

    def embedding_posterior(self, mask: Array, rows: Array | None = None) -> Posterior:
        """Return q(E | M) from the rows of M, both [P, R, T] (`rows`: see `sample_shared`).

        As a table it does not depend on M.
        """
        if self.spec.model.effect_guide == "table":
            at = slice(self.spec.sizes.n_perturbed) if rows is None else rows
            tables = self.embedding_mean[at], jnp.exp(self.embedding_log_variance[at])
            return Posterior(*(for_particles(table, mask.shape[0]) for table in tables))
        encoder = self.embedding_encoder
        n = self.spec.sizes.n_perturbed if rows is None else self.spec.sizes.n_treatments
        treatment = encoder.rows("treatment", n)
        treatment = treatment if rows is None else picked(treatment, rows)
        return encoder(encoder.project("mask", mask) + for_particles(treatment, mask.shape[0]))

    def quality_posterior(self) -> Posterior:
        """Return q(qcE), [Q, L]; every quality column is encoded from the same constant."""
        ones = jnp.ones((self.spec.sizes.n_quality, self.spec.model.n_latent))
        return self.quality_encoder(self.quality_encoder.project("constant", ones))

    def network_kl(self) -> tuple[Array, Array]:
        """Return KL(q(M) || p(M)) and KL(q(E) || p(E)) in closed form, each [T, T].

        An effect counts only where there is an edge: its divergence is multiplied by the edge's
        probability. The effect of a perturbation on its own gene, on the diagonal, always counts.
        """
        config, n = self.spec.model, self.spec.sizes.n_treatments
        (mean,), (variance,) = self.embedding_posterior(jnp.zeros((1, n, n)), jnp.arange(n))
        of_effects = gaussian_kl(Posterior(mean, variance), config.embedding_prior_scale)
        present = jnp.maximum(self.mask_probs(), jnp.eye(n))
        return mask_kl(self.mask_logits(), config.mask_prior), present * of_effects

    def encode_counts(
        self, counts: Array, statistics: InputStatistics, covariates: Array | None = None
    ) -> Array:
        """Return what counts [B, G] and covariates add to the basal encoder's first layer, [B, H].

        Without the covariates [B, K], those of an average cell are taken where the data has any.
        """
        encoded = self.basal_encoder.project("expression", self._normalise(counts, statistics))
        return encoded + self.covariates(covariates) if self.spec.sizes.categories else encoded

    def basal_posteriors(self, *told: Told) -> tuple[Posterior, ...]:
        """Return q(z_basal | ...) of whatever the encoder is told about the cells.

        Returns:
          A posterior for each of `told`, [P, B, L] ([1, B, L] for the mean-field encoder).
        """
        encoder = self.basal_encoder
        if self.spec.model.mean_field_encoder:
            shares = [one.encoded[None] for one in told]
        else:
            through: dict[int, Array] = {}  # by effects, which several may share
            for one in told:
                if id(one.effects) not in through:
                    projected = one.effects.through(lambda rows: encoder.project("effect", rows))
                    through[id(one.effects)] = projected
            shares = [self._shares(one, through[id(one.effects)]) for one in told]
        if on_cpu() or len(told) == 1:
            return tuple(encoder(share) for share in shares)
        together = encoder(jnp.stack(shares))  # a part of the kernels
        return tuple(Posterior(*(values[i] for values in together)) for i in range(len(told)))

    def _shares(self, told: Told, of_effects: Array) -> Array:
        """Return the sum of the shares of counts, effects [P, B, H] and quality, [P, B, H]."""
        of_quality = self.basal_encoder.project("quality", told.quality)  # [P, Q, H]
        flags = told.qc_fail.astype(of_quality.dtype)
        shares = for_particles(told.encoded, of_effects.shape[0]) + of_effects
        return shares + jnp.einsum("bq,pqh->pbh", flags, of_quality)

    def basal_posterior(
        self, batch: Batch, statistics: InputStatistics, effects: CellEffects, quality: Array
    ) -> Posterior:
        """Return q(z_basal | x, d, c, E, M, C) of cells as they are (see `basal_posteriors`)."""
        encoded = self.encode_counts(batch.counts, statistics, batch.covariates)
        (posterior,) = self.basal_posteriors(Told(encoded, effects, quality, batch.qc_fail))
        return posterior

    def _sampled(self, rows: Array | None) -> Array | None:
        """Return the rows of the network that are sampled; None for the R perturbed ones."""
        every = self.spec.model.effect == "propagated"
        return jnp.arange(self.spec.sizes.n_treatments) if every else rows

    def _normalise(self, counts: Array, statistics: InputStatistics) -> Array:
        x = counts.astype(jnp.float32)
        kind = self.spec.model.input_normalization
        if kind == "log_standardize":
            x = (jnp.log(1 + x) - statistics.log_mean[None]) / statistics.log_std[None]
            return as_read(x, standardised=True)
        if kind == "standardize":
            return (x - statistics.mean[None]) / statistics.std[None]
        return x
