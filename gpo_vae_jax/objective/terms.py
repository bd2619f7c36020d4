"""The terms that are added to minus the evidence bound, each with its coefficient."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Float

from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.grn import alignment_gap
from gpo_vae_jax.model.invariance import distance_from_controls
from gpo_vae_jax.objective.passes import Given, mean_over_cells
from gpo_vae_jax.spec import in_use
from gpo_vae_jax.types import Array


def counterfactual_kl(given: Given) -> Float[Array, ""]:
    """Return beta times the divergence of q2 from q_cf, summed over cells (docs/method.md 5.4)."""
    batch, guided = given.batch, given.guided
    if guided.second is None:
        return jnp.zeros(())
    exact = given.settings.counterfactual_kl == "exact"
    per_cell = dist.gaussian_divergence(guided.second, guided.flipped, exact).sum(-1).mean(0)  # [B]
    has_counterfactual = jnp.any(batch.counterfactual != 0, axis=-1)
    total = jnp.sum(jnp.where(has_counterfactual, per_cell, 0) * batch.weight)
    return given.settings.beta * total


def grn_alignment(given: Given) -> Float[Array, ""]:
    """Return how far the network's reach is from the observed changes (docs/method.md 5.5)."""
    spec, measured = given.model.spec, given.context.measured
    if not in_use(given.settings.gloss_coeff):
        return jnp.zeros(())
    gap = alignment_gap(
        given.model.guide.mask_values(),
        given.batch,
        spec.model.logits_or_probs,
        hop=given.settings.hop,
        fc_criteria=given.settings.fc_criteria,
        n_perturbed=spec.sizes.n_perturbed,
        start=given.guided.values if spec.model.effect == "latent" else None,
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


def efficacy(given: Given) -> Float[Array, ""] | None:
    """Return a cell's share of minus the log prior of the shares of cells that escape."""
    if not given.model.spec.model.escape_prior:
        return None
    return -given.model.decoder.efficacy.log_prior() / given.context.training_cells


def invariance(given: Given) -> Float[Array, ""] | None:
    """Return how far perturbed cells are from control cells in z_basal (docs/method.md 10)."""
    if not in_use(given.settings.invariance_coeff):
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
    "efficacy": efficacy,
    "invariance": invariance,
}
