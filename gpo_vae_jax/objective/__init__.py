"""What is minimised, as in docs/method.md 5: deterministic in (params, batch, noise)."""

from gpo_vae_jax.objective.bound import evidence_bound, prior_gaps, reconstruction_weight
from gpo_vae_jax.objective.passes import (
    Given,
    Guided,
    guide_passes,
    last_hidden,
    log_likelihood,
    mean_over_cells,
)
from gpo_vae_jax.objective.terms import TERMS, counterfactual_kl, grn_alignment
from gpo_vae_jax.objective.total import loss

__all__ = [
    "TERMS",
    "Given",
    "Guided",
    "counterfactual_kl",
    "evidence_bound",
    "grn_alignment",
    "guide_passes",
    "last_hidden",
    "log_likelihood",
    "loss",
    "mean_over_cells",
    "prior_gaps",
    "reconstruction_weight",
]
