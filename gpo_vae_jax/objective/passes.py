"""What every part of the loss is computed from: samples of the guide, and the decoded cells."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from gpo_vae_jax.config import ObjectiveConfig
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.model.cell_effects import CellEffects
from gpo_vae_jax.model.cells import failed, in_turn
from gpo_vae_jax.model.gpo_vae import GPOVAE
from gpo_vae_jax.model.guide import SharedSample
from gpo_vae_jax.spec import in_use
from gpo_vae_jax.types import Array, Batch, Context, Noise, Posterior


class Guided(NamedTuple):
    """Samples and posteriors of both guide passes."""

    shared: SharedSample  # pass 1
    effects: CellEffects  # pass 1
    basal: Posterior  # q(z_basal), [P, B, L]
    basal_sample: Array  # [P, B, L]
    flipped: Posterior  # q_cf(z_basal), told the opposite quality
    second: SharedSample | None  # pass 2; None without counterfactual KL
    counterfactual: Array | None  # [B, H] encoded counterfactual counts, for pass 2


class Given(NamedTuple):
    """What every term of the loss is computed from."""

    model: GPOVAE
    context: Context
    batch: Batch
    noise: Noise
    guided: Guided

    @property
    def settings(self) -> ObjectiveConfig:
        """Return the settings of the objective."""
        return self.model.spec.objective


def guide_passes(model: GPOVAE, context: Context, batch: Batch, noise: Noise) -> Guided:
    """Sample every variable from the guide given the batch (docs/method.md 5)."""
    guide, counterfactual = model.guide, None
    told_twice = in_use(model.spec.objective.beta)
    shared, second = _samples(model, noise, batch.rows, both=told_twice)
    effects = guide.effects(shared, batch, batch.rows)
    if told_twice:
        both = jnp.concatenate([batch.counts, batch.counterfactual])
        twice = None if batch.covariates is None else jnp.tile(batch.covariates, (2, 1))
        counts, counterfactual = jnp.split(guide.encode_counts(both, context.statistics, twice), 2)
    else:
        counts = guide.encode_counts(batch.counts, context.statistics, batch.covariates)
    own, opposite = batch.qc_fail, 1 - batch.qc_fail
    basal, flipped = guide.basal_posteriors(counts, effects, shared.quality, own, opposite)
    basal = Posterior(*(in_turn(values, noise.basal.shape[0]) for values in basal))
    return Guided(
        shared=shared,
        effects=effects,
        basal=basal,
        basal_sample=dist.gaussian_sample(basal, noise.basal),
        flipped=flipped,
        second=second,
        counterfactual=counterfactual,
    )


def _samples(
    model: GPOVAE, noise: Noise, rows: Array | None, *, both: bool
) -> tuple[SharedSample, SharedSample | None]:
    """Sample what cells share for pass 1 and, if it is wanted, for pass 2."""
    sample = model.guide.sample_shared
    if not both:
        return sample(noise.shared, rows), None
    if on_cpu():
        return sample(noise.shared, rows), sample(noise.counterfactual, rows)
    together = jax.tree.map(lambda *a: jnp.concatenate(a), noise.shared, noise.counterfactual)
    drawn, n = sample(together, rows), len(noise.shared.mask)  # half as many kernels
    return SharedSample(*(a[:n] for a in drawn)), SharedSample(*(a[n:] for a in drawn))


def log_likelihood(
    model: GPOVAE,
    batch: Batch,
    basal: Float[Array, "P B L"],
    effects: CellEffects,
    shared: SharedSample,
) -> Float[Array, "P B"]:
    """Return log p(x | z) under each cell's own quality, summed over genes, [P, B]."""
    hidden = last_hidden(model, batch, basal, effects, shared)
    return model.decoder.log_likelihood(hidden, batch, model.decoder.change(effects))


def last_hidden(
    model: GPOVAE,
    batch: Batch,
    basal: Float[Array, "P B L"],
    effects: CellEffects,
    shared: SharedSample,
) -> Float[Array, "P B H"]:
    """Return the last hidden layer under each cell's own quality, [P, B, H]."""
    quality = in_turn(shared.quality, basal.shape[0])
    return model.decoder.hidden(basal, effects, quality, failed(batch), batch.covariates)


def mean_over_cells(values: Float[Array, "P B"], batch: Batch) -> Float[Array, ""]:
    """Average [P, B] over particles and over the cells that count."""
    return jnp.sum(values.mean(0) * batch.weight) / jnp.sum(batch.weight)
