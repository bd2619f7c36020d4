"""What is minimised, as in docs/method.md 5: deterministic in (params, batch, noise)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from gpo_vae_jax.config import ObjectiveConfig
from gpo_vae_jax.model import bind
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.blocks import over_last
from gpo_vae_jax.model.cell_effects import CellEffects
from gpo_vae_jax.model.cells import failed, share_of_cells, share_of_failed
from gpo_vae_jax.model.decoder import prior_basal, prior_effect, prior_mask
from gpo_vae_jax.model.gpo_vae import GPOVAE
from gpo_vae_jax.model.grn import alignment_gap
from gpo_vae_jax.model.guide import SharedSample
from gpo_vae_jax.model.invariance import distance_from_controls
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Batch, Context, Metrics, Noise, Params, Posterior


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


class Gaps(NamedTuple):
    """log p(v) - log q(v) of every variable v, [P, B]; their sum is maximised."""

    mask: Array
    embedding: Array
    quality: Array
    basal: Array

    @property
    def total(self) -> Array:
        """Return the sum over variables, [P, B]."""
        return self.mask + self.embedding + self.quality + self.basal


def loss(
    params: Params, context: Context, batch: Batch, noise: Noise, *, spec: Spec
) -> tuple[Float[Array, ""], Metrics]:
    """Return the loss of a batch and its parts.

    The loss is minus the evidence bound plus the terms of `TERMS`.

    Returns:
      The loss, and a dictionary of scalars: "loss"; the means of the bound's parts with their sign
      flipped ("reconstruction", "mask", "embedding", "quality", "basal"); each of `TERMS` with its
      coefficient.
    """
    model = bind(params, spec)
    given = Given(model, context, batch, noise, guide_passes(model, context, batch, noise))
    gaps = prior_gaps(given)
    bound, reconstruction = evidence_bound(given, gaps)
    found = {name: term(given) for name, term in TERMS.items()}
    terms = {name: value for name, value in found.items() if value is not None}
    total = -bound + sum(terms.values())
    flipped = {name: -mean_over_cells(gap, batch) for name, gap in gaps._asdict().items()}
    return total, {"loss": total, "reconstruction": -reconstruction, **flipped, **terms}


def guide_passes(model: GPOVAE, context: Context, batch: Batch, noise: Noise) -> Guided:
    """Sample every variable from the guide given the batch (docs/method.md 5)."""
    guide, counterfactual, second = model.guide, None, None
    shared = guide.sample_shared(noise.shared, batch.rows)
    effects = guide.effects(shared, batch, batch.rows)
    if model.spec.objective.beta:
        both = jnp.concatenate([batch.counts, batch.counterfactual])
        counts, counterfactual = jnp.split(guide.encode_counts(both, context.statistics), 2)
        second = guide.sample_shared(noise.counterfactual, batch.rows)
    else:
        counts = guide.encode_counts(batch.counts, context.statistics)
    own, opposite = batch.qc_fail, 1 - batch.qc_fail
    basal, flipped = guide.basal_posteriors(counts, effects, shared.quality, own, opposite)
    return Guided(
        shared=shared,
        effects=effects,
        basal=basal,
        basal_sample=dist.gaussian_sample(basal, noise.basal),
        flipped=flipped,
        second=second,
        counterfactual=counterfactual,
    )


def prior_gaps(given: Given) -> Gaps:
    """Return log p(v) - log q(v) of every variable v, per cell (docs/method.md 5.2)."""
    c, shared, batch = given.model.spec.model, given.guided.shared, given.batch
    prior, term, observation = _weights(given.settings)

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
    treatments, qualities = given.context.treatment_cells, given.context.quality_cells
    if given.settings.kl == "analytic":
        mask, embedding = _analytic_gaps(given)
    else:
        mask = share_of_cells(gap["mask"], batch, treatments)
        embedding = share_of_cells(gap["embedding"], batch, treatments)
    log_p_basal = prior_basal(given.guided.basal_sample).sum(-1)
    log_q_basal = dist.gaussian_sample_log_prob(given.guided.basal, given.noise.basal).sum(-1)
    return Gaps(
        mask=mask,
        embedding=embedding,
        quality=share_of_failed(gap["quality"], batch, qualities),
        basal=term["basal"] * (prior["basal"] * log_p_basal - log_q_basal),
    )


def _analytic_gaps(given: Given) -> tuple[Array, Array]:
    """Return minus the divergences of q(M) and q(E), shared equally by all training cells, [P, B].

    Unlike sampled densities they count the rows of treatments without cells, too.
    """
    of_mask, of_effects = given.model.guide.network_kl()
    shape = given.guided.basal_sample.shape[:2]
    n_cells = given.context.training_cells
    return (
        jnp.broadcast_to(-of_mask.sum() / n_cells, shape),
        jnp.broadcast_to(-of_effects.sum() / n_cells, shape),
    )


def evidence_bound(given: Given, gaps: Gaps) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return the bound that is maximised (docs/method.md 5.3), and the mean reconstruction (5.1).

    All bounds but the importance-weighted one know the weight of every cell beforehand.
    """
    batch, decoder = given.batch, given.model.decoder
    quality = reconstruction_weight(batch, given.settings)
    guided = given.guided
    change = decoder.change(guided.effects, given.noise.readout)
    hidden = last_hidden(given.model, batch, guided.basal_sample, guided.effects, guided.shared)
    n_particles, others = hidden.shape[0], gaps.total
    if given.settings.objective == "iwelbo":
        reconstruction = quality[None] * decoder.log_likelihood(hidden, batch, change)
        per_cell = jax.nn.logsumexp(reconstruction + others, axis=0) - math.log(n_particles)
        return mean_over_cells(per_cell[None], batch), mean_over_cells(reconstruction, batch)
    weight = quality * batch.weight / (n_particles * jnp.sum(batch.weight))
    reconstruction = decoder.weighted_log_likelihood(hidden, batch, weight, change)
    return reconstruction + mean_over_cells(others, batch), reconstruction


def reconstruction_weight(batch: Batch, settings: ObjectiveConfig) -> Float[Array, " B"]:
    """Return the weight of each cell, [B]: alpha if it passed quality control, else 1 - alpha.

    With equal cell weights it is 1.
    """
    if settings.cell_weights == "equal":
        return jnp.ones(batch.weight.shape)
    bad, alpha = failed(batch), settings.alpha
    if alpha is None:
        alpha = jnp.sum(bad * batch.weight) / jnp.sum(batch.weight)
    return jnp.where(bad, 1 - alpha, alpha)


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
    return model.decoder.hidden(basal, effects, shared.quality, failed(batch))


def counterfactual_kl(given: Given) -> Float[Array, ""]:
    """Return beta times the divergence of q2 from q_cf, summed over cells (docs/method.md 5.4)."""
    batch, guided, guide = given.batch, given.guided, given.model.guide
    if guided.second is None or guided.counterfactual is None:
        return jnp.zeros(())
    effects = guide.effects(guided.second, batch, batch.rows)
    (q2,) = guide.basal_posteriors(
        guided.counterfactual, effects, guided.second.quality, 1 - batch.qc_fail
    )
    exact = given.settings.counterfactual_kl == "exact"
    per_cell = dist.gaussian_divergence(q2, guided.flipped, exact).sum(-1).mean(0)  # [B]
    has_counterfactual = jnp.any(batch.counterfactual != 0, axis=-1)
    total = jnp.sum(jnp.where(has_counterfactual, per_cell, 0) * batch.weight)
    return given.settings.beta * total


def grn_alignment(given: Given) -> Float[Array, ""]:
    """Return how far the network's reach is from the observed changes (docs/method.md 5.5)."""
    spec, measured = given.model.spec, given.context.measured
    if not given.settings.gloss_coeff:
        return jnp.zeros(())
    gap = alignment_gap(
        given.model.guide.mask_values(),
        given.batch,
        spec.model.logits_or_probs,
        hop=given.settings.hop,
        fc_criteria=given.settings.fc_criteria,
        n_perturbed=spec.sizes.n_perturbed,
    )
    per_cell = jnp.sum(gap * measured[None], -1) / jnp.maximum(jnp.sum(measured), 1)
    return given.settings.gloss_coeff * mean_over_cells(per_cell[None], given.batch)


def edge_penalty(given: Given) -> Float[Array, ""]:
    """Return the penalty on the mean edge probability (docs/method.md 5.6)."""
    return given.settings.penalty_coeff * given.model.guide.mask_probs().mean()


def readout_divergence(given: Given) -> Float[Array, ""] | None:
    """Return a cell's share of KL(q(B) || p(B)), B the readout of propagated effects."""
    if given.model.spec.model.effect == "latent":
        return None
    return given.model.decoder.readout.kl() / given.context.training_cells


def invariance(given: Given) -> Float[Array, ""] | None:
    """Return how far perturbed cells are from control cells in z_basal (docs/method.md 10)."""
    if not given.settings.invariance_coeff:
        return None
    cells = given.guided.basal.mean.mean(0)
    return given.settings.invariance_coeff * distance_from_controls(
        cells, given.batch, given.model.spec.sizes.n_perturbed
    )


# Added to minus the evidence bound. A further term of the loss is a function and a line here; it
# is then reported in every epoch under its name, unless it returns None.
TERMS: dict[str, Callable[[Given], Array | None]] = {
    "counterfactual_kl": counterfactual_kl,
    "grn": grn_alignment,
    "penalty": edge_penalty,
    "readout": readout_divergence,
    "invariance": invariance,
}


def mean_over_cells(values: Float[Array, "P B"], batch: Batch) -> Float[Array, ""]:
    """Average [P, B] over particles and over the cells that count."""
    return jnp.sum(values.mean(0) * batch.weight) / jnp.sum(batch.weight)


def _weights(settings: ObjectiveConfig) -> tuple[dict[str, float], ...]:
    """Return the weights of priors, terms and observations by variable; 1 unless reweighted."""
    weights = settings.reweight
    if settings.objective != "reweighted_elbo":
        weights = type(weights)()
    return tuple(
        dict(zip(Gaps._fields, values, strict=False))
        for values in (weights.prior, weights.term, weights.observation)
    )
