"""What is minimised, as in docs/method.md 5: deterministic in (params, batch, noise)."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gpo_vae_jax.config import ObjectiveConfig
from gpo_vae_jax.model import bind
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.blocks import over_last
from gpo_vae_jax.model.cells import failed, share_of_cells, share_of_failed
from gpo_vae_jax.model.decoder import prior_basal, prior_effect, prior_mask
from gpo_vae_jax.model.gpo_vae import GPOVAE
from gpo_vae_jax.model.grn import alignment_gap
from gpo_vae_jax.model.guide import SharedSample
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Batch, Context, Metrics, Noise, Params, Posterior


class Terms(NamedTuple):
    """Hold log p(v) - log q(v) of every variable v, [P, B]: to be added up and maximised."""

    mask: Array
    embedding: Array
    quality: Array
    basal: Array


class GuidePass(NamedTuple):
    """Hold what guide pass 1 gives, and the counts' share of pass 2."""

    shared: SharedSample
    counterfactual_share: Array  # [B, H] of the counterfactual counts, for pass 2
    basal: Posterior  # q(z_basal), [P, B, L]
    basal_sample: Array  # [P, B, L]
    flipped: Posterior  # q_cf(z_basal), told the opposite quality


def loss(
    params: Params, context: Context, batch: Batch, noise: Noise, *, spec: Spec
) -> tuple[Array, Metrics]:
    """Return the loss of a batch and its parts.

    Returns:
      The loss, and a dictionary of scalars: "loss"; the mean of each term with its sign flipped
      ("reconstruction", "mask", "embedding", "quality", "basal"); "counterfactual_kl", "grn" and
      "penalty" with their coefficients.
    """
    model, o = bind(params, spec), spec.objective
    guided = guide_pass(model, context, batch, noise)
    terms = cell_terms(model, context, batch, noise, guided, o)
    bound, reconstruction = evidence_bound(model, batch, guided, terms, o)
    second = model.guide.sample_shared(noise.counterfactual, batch.rows)
    parts = {
        "counterfactual_kl": o.beta * counterfactual_kl(model, batch, guided, second, o),
        "grn": o.gloss_coeff * grn_alignment(model, context, batch, o),
        "penalty": o.penalty_coeff * model.guide.mask_probs().mean(),
    }
    total = -bound + sum(parts.values())
    flipped = {k: -mean_over_cells(v, batch) for k, v in terms._asdict().items()}
    return total, {"loss": total, "reconstruction": -reconstruction, **flipped, **parts}


def guide_pass(model: GPOVAE, context: Context, batch: Batch, noise: Noise) -> GuidePass:
    """Sample every variable from the guide given the batch (5, pass 1)."""
    guide = model.guide
    shared = guide.sample_shared(noise.shared, batch.rows)
    both = jnp.concatenate([batch.counts, batch.counterfactual])
    counts, counterfactual = jnp.split(guide.encode_counts(both, context.statistics), 2)
    effects = guide.encode_effects(batch, shared)
    basal = guide.basal_posterior(counts, effects, batch.qc_fail, shared)
    return GuidePass(
        shared=shared,
        counterfactual_share=counterfactual,
        basal=basal,
        basal_sample=dist.gaussian_sample(basal, noise.basal),
        flipped=guide.basal_posterior(counts, effects, 1 - batch.qc_fail, shared),
    )


def cell_terms(
    model: GPOVAE,
    context: Context,
    batch: Batch,
    noise: Noise,
    guided: GuidePass,
    objective: ObjectiveConfig,
) -> Terms:
    """Return log p(v) - log q(v) of every variable v, per cell (5.2)."""
    c, shared = model.spec.model, guided.shared
    prior, term, observation = _weights(objective)

    log_p = {
        "mask": over_last(prior_mask(shared.mask, c)),
        "embedding": over_last(prior_effect(shared.embedding, c)),
        "quality": prior_effect(shared.quality, c).sum(-1),
    }
    log_q = {
        "mask": shared.log_q_mask,
        "embedding": shared.log_q_embedding,
        "quality": shared.log_q_quality,
    }
    gap = {v: term[v] * (prior[v] * log_p[v] - log_q[v]) * observation[v] for v in log_p}
    treatments, qualities = context.treatment_cells, context.quality_cells
    log_p_basal = prior_basal(guided.basal_sample).sum(-1)
    log_q_basal = dist.gaussian_sample_log_prob(guided.basal, noise.basal).sum(-1)
    return Terms(
        mask=share_of_cells(gap["mask"], batch, treatments),
        embedding=share_of_cells(gap["embedding"], batch, treatments),
        quality=share_of_failed(gap["quality"], batch, qualities),
        basal=term["basal"] * (prior["basal"] * log_p_basal - log_q_basal),
    )


def evidence_bound(
    model: GPOVAE, batch: Batch, guided: GuidePass, terms: Terms, objective: ObjectiveConfig
) -> tuple[Array, Array]:
    """Return the bound that is maximised (5.3), and the reconstruction's mean (5.1).

    All bounds but the importance-weighted one weigh cells in a way that is known beforehand.
    """
    quality, decoder = reconstruction_weight(batch, objective), model.decoder
    hidden = last_hidden(model, batch, guided.basal_sample, guided.shared)
    n_particles, others = hidden.shape[0], sum(terms)
    if objective.objective == "iwelbo":
        reconstruction = quality[None] * decoder.log_likelihood(hidden, batch)
        per_cell = jax.nn.logsumexp(reconstruction + others, axis=0) - math.log(n_particles)
        return mean_over_cells(per_cell[None], batch), mean_over_cells(reconstruction, batch)
    weight = quality * batch.weight / (n_particles * jnp.sum(batch.weight))
    reconstruction = decoder.weighted_log_likelihood(hidden, batch, weight)
    return reconstruction + mean_over_cells(others, batch), reconstruction


def reconstruction_weight(batch: Batch, objective: ObjectiveConfig) -> Array:
    """Return alpha for a cell that passed quality control and 1 - alpha for one that failed, [B]."""
    bad, alpha = failed(batch), objective.alpha
    if alpha is None:
        alpha = jnp.sum(bad * batch.weight) / jnp.sum(batch.weight)
    return jnp.where(bad, 1 - alpha, alpha)


def log_likelihood(model: GPOVAE, batch: Batch, basal: Array, shared: SharedSample) -> Array:
    """Return log p(x | z with the cell's own quality), summed over genes, [P, B]."""
    return model.decoder.log_likelihood(last_hidden(model, batch, basal, shared), batch)


def last_hidden(model: GPOVAE, batch: Batch, basal: Array, shared: SharedSample) -> Array:
    """Return the decoder's last hidden layer, each cell with its own quality, [P, B, H]."""
    return model.decoder.hidden(basal, shared.effect, shared.quality, failed(batch), batch)


def counterfactual_kl(
    model: GPOVAE,
    batch: Batch,
    guided: GuidePass,
    second: SharedSample,
    objective: ObjectiveConfig,
) -> Array:
    """Return the divergence between q2 and q_cf, summed over cells and latents (5.4)."""
    guide = model.guide
    effects = guide.encode_effects(batch, second)
    q2 = guide.basal_posterior(guided.counterfactual_share, effects, 1 - batch.qc_fail, second)
    exact = objective.counterfactual_kl == "exact"
    per_cell = dist.gaussian_divergence(q2, guided.flipped, exact).sum(-1).mean(0)  # [B]
    has_counterfactual = jnp.any(batch.counterfactual != 0, axis=-1)
    return jnp.sum(jnp.where(has_counterfactual, per_cell, 0) * batch.weight)


def grn_alignment(
    model: GPOVAE, context: Context, batch: Batch, objective: ObjectiveConfig
) -> Array:
    """Return the mean distance between the network's reach and the observed changes (5.5)."""
    gap = alignment_gap(
        model.guide.mask_values(),
        batch,
        model.spec.model.logits_or_probs,
        hop=objective.hop,
        fc_criteria=objective.fc_criteria,
        n_perturbed=model.spec.sizes.n_perturbed,
    )
    per_cell = jnp.sum(gap * context.measured[None], -1) / jnp.maximum(jnp.sum(context.measured), 1)
    return mean_over_cells(per_cell[None], batch)


def mean_over_cells(values: Array, batch: Batch) -> Array:
    """Average [P, B] over particles and over the cells that count."""
    return jnp.sum(values.mean(0) * batch.weight) / jnp.sum(batch.weight)


def _weights(objective: ObjectiveConfig) -> tuple[dict[str, float], ...]:
    names = ("mask", "embedding", "quality", "basal")
    weights = objective.reweight
    if objective.objective != "reweighted_elbo":
        weights = type(weights)()
    return tuple(
        dict(zip(names, values, strict=False))
        for values in (weights.prior, weights.term, weights.observation)
    )
