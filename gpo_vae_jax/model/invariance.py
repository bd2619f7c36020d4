"""How far perturbed cells are from control cells in the latent space (docs/method.md 10).

A perturbation should act through the network. A z that differs between perturbed and control cells
carries some of the effect past it.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from gpo_vae_jax.types import Array, Batch


def distance_from_controls(
    latents: Float[Array, "B L"], batch: Batch, n_perturbed: int
) -> Float[Array, ""]:
    """Return sum over treatments t of n_t / B * max(0, d_t), a scalar.

    d_t estimates the squared distance between the mean latents of the n_t cells of t and of the
    control cells, without bias. Treatments and controls with fewer than two cells in the batch are
    left out.

    Args:
      latents: of each cell.
      batch: the cells.
      n_perturbed: R.
    """
    n_rows = n_perturbed if batch.rows is None else len(batch.rows)
    carried = (batch.dosage != 0) & (batch.weight != 0)[:, None]  # [B, K]
    of_cell = jnp.arange(n_rows)[None, None] == batch.perturbation[..., None]  # [B, K, R]
    members = (of_cell & carried[..., None]).any(1).astype(latents.dtype)
    control = (batch.dosage == 0).all(1) & (batch.weight != 0)
    groups = jnp.concatenate([members, control[:, None].astype(latents.dtype)], axis=1)
    number = groups.sum(0)  # [R + 1], the controls last
    count = jnp.maximum(number, 1)
    mean = (groups.T @ latents) / count[:, None]
    squares = groups.T @ jnp.square(latents).sum(-1)
    variance = (squares - count * jnp.square(mean).sum(-1)) / jnp.maximum(number - 1, 1)
    of_mean = variance / count  # variance of the group's mean, summed over latents
    distance = jnp.square(mean[:-1] - mean[-1:]).sum(-1) - of_mean[:-1] - of_mean[-1]
    known = (number[:-1] > 1) & (number[-1] > 1)
    return jnp.sum(jnp.where(known, number[:-1] * jnp.maximum(distance, 0), 0)) / batch.weight.sum()
