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
from gpo_vae_jax.model.guide import SharedSample, Told
from gpo_vae_jax.spec import in_use
from gpo_vae_jax.types import Array, Batch, Context, Noise, Posterior, SharedNoise


class Guided(NamedTuple):
    """Samples and posteriors of both guide passes."""

    shared: SharedSample  # pass 1
    effects: CellEffects  # pass 1
    basal: Posterior  # q(z_basal), [P, B, L]
    basal_sample: Array  # [P, B, L]
    flipped: Posterior  # q_cf(z_basal), told the opposite quality
    second: Posterior | None  # q2(z_basal), pass 2 of the counterfactual counts
    values: Array  # [R, T] the parameter of q(M), of the rows that are sampled


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
    guide = model.guide
    own, opposite = batch.qc_fail, 1 - batch.qc_fail
    told_twice = in_use(model.spec.objective.beta)
    values = guide.mask_rows(batch.rows)
    shared, *of_second = _samples(model, noise, batch.rows, values, both=told_twice)
    effects = guide.effects(shared, batch, batch.rows)
    counts, *others = _encoded(model, context, batch, both=told_twice)
    told = [Told(counts, effects, shared.quality, flags) for flags in (own, opposite)]
    for counts, shared_of_second in zip(others, of_second, strict=True):
        of_effects = guide.effects(shared_of_second, batch, batch.rows)
        told.append(Told(counts, of_effects, shared_of_second.quality, opposite))
    basal, flipped, *second = guide.basal_posteriors(*told)
    basal = Posterior(*(in_turn(values, noise.basal.shape[0]) for values in basal))
    return Guided(
        shared=shared,
        effects=effects,
        basal=basal,
        basal_sample=dist.gaussian_sample(basal, noise.basal),
        flipped=flipped,
        second=second[0] if second else None,
        values=values,
    )


def _samples(
    model: GPOVAE, noise: Noise, rows: Array | None, values: Array, *, both: bool
) -> tuple[SharedSample, ...]:
    """Sample what cells share for pass 1 and, if it is wanted, for pass 2."""
    n = len(noise.shared.mask)

    def sample(noise: SharedNoise) -> SharedSample:
        return model.guide.sample_shared(noise, rows, values, n)

    passes = (noise.shared, noise.counterfactual)[: 1 + both]
    if on_cpu() or not both:
        return tuple(sample(of_pass) for of_pass in passes)
    # Half the kernels. Only pass 1 is scored: nothing asks for the log-densities of pass 2.
    together = sample(jax.tree.map(lambda *a: jnp.concatenate(a), *passes))
    return SharedSample(*(a[:n] for a in together)), SharedSample(*(a[n:] for a in together))


def _encoded(model: GPOVAE, context: Context, batch: Batch, *, both: bool) -> tuple[Array, ...]:
    """Encode the counts and, if they are wanted, the counterfactual counts, each [B, H]."""
    encode, statistics = model.guide.encode_counts, context.statistics
    if not both:
        return (encode(batch.counts, statistics, batch.covariates),)
    counts = jnp.concatenate([batch.counts, batch.counterfactual])
    twice = None if batch.covariates is None else jnp.tile(batch.covariates, (2, 1))
    return tuple(jnp.split(encode(counts, statistics, twice), 2))


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
