"""The evidence bound: reconstruction and the divergence of every variable from its prior."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from gpo_vae_jax.config import ObjectiveConfig
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.blocks import over_last
from gpo_vae_jax.model.cells import failed, in_turn, share_of_cells, share_of_failed
from gpo_vae_jax.model.decoder import prior_basal, prior_effect, prior_mask
from gpo_vae_jax.objective.passes import Given, last_hidden, mean_over_cells
from gpo_vae_jax.types import Array, Batch


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

    def means(self, batch: Batch) -> dict[str, Array]:
        """Return the mean over particles and cells of every variable's gap."""
        of_cells = jnp.stack(self).mean(1)  # [4, B]
        means = (of_cells * batch.weight[None]).sum(-1) / jnp.sum(batch.weight)
        return dict(zip(self._fields, means, strict=True))


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
    n_particles = given.guided.basal_sample.shape[0]
    return Gaps(
        mask=in_turn(mask, n_particles),
        embedding=in_turn(embedding, n_particles),
        quality=in_turn(share_of_failed(gap["quality"], batch, qualities), n_particles),
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
    n_particles = hidden.shape[0]
    if given.settings.objective == "iwelbo":
        reconstruction = quality[None] * decoder.log_likelihood(hidden, batch, change)
        per_cell = jax.nn.logsumexp(reconstruction + gaps.total, axis=0) - math.log(n_particles)
        return mean_over_cells(per_cell[None], batch), mean_over_cells(reconstruction, batch)
    weight = quality * batch.weight / (n_particles * jnp.sum(batch.weight))
    reconstruction = decoder.weighted_log_likelihood(hidden, batch, weight, change)
    return reconstruction + sum(gaps.means(batch).values()), reconstruction


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


def _weights(settings: ObjectiveConfig) -> tuple[dict[str, float], ...]:
    """Return the weights of priors, terms and observations by variable; 1 unless reweighted."""
    weights = settings.reweight
    if settings.objective != "reweighted_elbo":
        weights = type(weights)()
    return tuple(
        dict(zip(Gaps._fields, values, strict=False))
        for values in (weights.prior, weights.term, weights.observation)
    )
