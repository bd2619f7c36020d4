"""The loss of a batch and its parts."""

from __future__ import annotations

from jaxtyping import Float

from gpo_vae_jax.model import bind
from gpo_vae_jax.objective.bound import evidence_bound, prior_gaps
from gpo_vae_jax.objective.passes import Given, guide_passes
from gpo_vae_jax.objective.terms import TERMS
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Batch, Context, Metrics, Noise, Params


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
    flipped = {name: -mean for name, mean in gaps.means(batch).items()}
    return total, {"loss": total, "reconstruction": -reconstruction, **flipped, **terms}
