"""From rows that treatments share to cells: by gathering, where a one-hot product would do."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from gpo_vae_jax.types import Array, Batch


def dosage_sum(rows: Array, batch: Batch) -> Array:
    """Return D @ rows for the batch's dosage D: the sum of each cell's perturbations' rows.

    Args:
      rows: [..., R, F], one row per perturbed treatment.

    Returns:
      [..., B, F]; zeros for controls.
    """
    return _gathered_sum(rows, batch.perturbation, batch.dosage)


def share_of_cells(rows: Array, batch: Batch, treatment_cells: Array) -> Array:
    """Return each cell its share of what its treatments' rows are worth (docs/method.md 5.2).

    Args:
      rows: [P, R], one value per perturbed treatment.
      treatment_cells: [T] cells of the split with each treatment; 0 gives 0.

    Returns:
      [P, B] sum over the cell's treatments of value / number of cells.
    """
    share = rows_of(_inverse_or_zero(treatment_cells), batch, rows.shape[-1])
    weighted = (rows * share[None, :])[..., None]
    return _gathered_sum(weighted, batch.perturbation, batch.dosage != 0)[..., 0]


def share_of_failed(columns: Array, batch: Batch, quality_cells: Array) -> Array:
    """Return each cell its share of what its quality columns are worth: [P, Q] -> [P, B]."""
    share = columns * _inverse_or_zero(quality_cells)[None, :]
    return share @ (batch.qc_fail != 0).astype(share.dtype).T


def rows_of(of_treatments: Array, batch: Batch, n_rows: int) -> Array:
    """Return the rows that the batch's perturbations count in: [T, ...] -> [R', ...]."""
    return of_treatments[:n_rows] if batch.rows is None else of_treatments[batch.rows]


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def for_particles(x: Array, n_particles: int) -> Array:
    """Repeat what does not depend on particles: [...] -> [P, ...].

    Its gradient is a chain of additions, which is part of what comes before and after; the
    reduction that broadcasting would leave is a slow pass of its own on a CPU.
    """
    return jnp.broadcast_to(x[None], (n_particles, *x.shape))


def _for_particles_forward(x: Array, n_particles: int) -> tuple[Array, None]:
    return for_particles(x, n_particles), None


def _for_particles_backward(n_particles: int, _: None, cotangent: Array) -> tuple[Array]:
    return (sum((cotangent[i] for i in range(1, n_particles)), cotangent[0]),)


for_particles.defvjp(_for_particles_forward, _for_particles_backward)


def failed(batch: Batch) -> Array:
    """Return the cell's own quality, [B]: 1 if any quality column failed, else 0."""
    return (jnp.max(batch.qc_fail, axis=-1) != 0).astype(jnp.float32)


def _gathered_sum(rows: Array, index: Array, scale: Array) -> Array:
    picked = jnp.take(rows, index, axis=-2, mode="clip")  # [..., B, K, F]
    scale = scale.astype(rows.dtype)[..., None]
    return jnp.sum(picked * scale.reshape((1,) * (picked.ndim - scale.ndim) + scale.shape), -2)


def _inverse_or_zero(n: Array) -> Array:
    return jnp.where(n > 0, 1 / jnp.maximum(n, 1), 0).astype(jnp.float32)
