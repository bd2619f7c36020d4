"""From rows of treatments to cells, by gathering instead of a product with the dense dosage."""

from __future__ import annotations

from functools import partial
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Float, Shaped

from gpo_vae_jax.types import Array, Batch


@runtime_checkable
class Perturbed(Protocol):
    """Cells with perturbations: a `Batch`, or the conditions that prediction draws."""

    @property
    def perturbation(self) -> Array:
        """Rows of the cell's perturbed genes, [B, K] int32."""
        ...

    @property
    def dosage(self) -> Array:
        """1 where `perturbation` counts and 0 where it only fills the row, [B, K]."""
        ...


def dosage_sum(rows: Float[Array, "*p R F"], batch: Perturbed) -> Float[Array, "*p B F"]:
    """Return D @ rows for the dosage D of the cells: the sum of the rows of each cell's treatments.

    Args:
      rows: [..., R, F], one row for each perturbed treatment.
      batch: B cells.

    Returns:
      [..., B, F]; zeros for controls.
    """
    return _gathered_sum(rows, batch.perturbation, batch.dosage)


def share_of_cells(
    rows: Float[Array, "P R"], batch: Batch, treatment_cells: Shaped[Array, " T"]
) -> Float[Array, "P B"]:
    """Divide the value of each treatment among its cells (docs/method.md 5.2).

    Args:
      rows: [P, R], one value for each perturbed treatment.
      batch: B cells.
      treatment_cells: [T] cells of the split with each treatment.

    Returns:
      [P, B] sum over the cell's treatments of value / number of cells; 0 where that number is 0.
    """
    share = rows_of(_inverse_or_zero(treatment_cells), batch, rows.shape[-1])
    weighted = (rows * share[None, :])[..., None]
    return _gathered_sum(weighted, batch.perturbation, batch.dosage != 0)[..., 0]


def share_of_failed(
    columns: Float[Array, "P Q"], batch: Batch, quality_cells: Shaped[Array, " Q"]
) -> Float[Array, "P B"]:
    """Divide the value of each quality column among the cells that failed it: [P, Q] -> [P, B]."""
    share = columns * _inverse_or_zero(quality_cells)[None, :]
    return share @ (batch.qc_fail != 0).astype(share.dtype).T


def rows_of(
    of_treatments: Shaped[Array, " T *f"], batch: Batch, n_rows: int
) -> Shaped[Array, " R *f"]:
    """Return the rows that the perturbations of a batch index: [T, ...] -> [R', ...]."""
    return of_treatments[:n_rows] if batch.rows is None else picked(of_treatments, batch.rows)


def picked(values: Shaped[Array, " T *f"], rows: Shaped[Array, " R"]) -> Shaped[Array, " R *f"]:
    """Return rows of which none is asked for twice: their gradients are written, not added up."""
    return _picked(values, rows, values.shape)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _picked(values: Array, rows: Array, shape: tuple[int, ...]) -> Array:
    return jnp.asarray(values).at[rows].get(unique_indices=True, mode="clip")


def _picked_forward(values: Array, rows: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    return _picked(values, rows, shape), rows


def _picked_backward(shape: tuple[int, ...], rows: Array, cotangent: Array) -> tuple[Array, None]:
    """Write into -0, which the compiler does not share with the zeros of other expressions.

    Those it would keep in an array, too, instead of computing with a constant.
    """
    zeros = jnp.full(shape, -0.0, cotangent.dtype)
    return zeros.at[rows].add(cotangent, unique_indices=True, mode="clip"), None


_picked.defvjp(_picked_forward, _picked_backward)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def for_particles(x: Float[Array, "*s"], n_particles: int) -> Float[Array, " P *s"]:
    """Repeat an array for every particle: [...] -> [P, ...].

    Its gradient is a chain of additions, which XLA fuses with its neighbours. The gradient of a
    broadcast is a reduction, which takes a slow pass of its own on a CPU.
    """
    return jnp.broadcast_to(x[None], (n_particles, *x.shape))


def _for_particles_forward(x: Array, n_particles: int) -> tuple[Array, None]:
    return for_particles(x, n_particles), None


def _for_particles_backward(n_particles: int, _: None, cotangent: Array) -> tuple[Array]:
    return (sum((cotangent[i] for i in range(1, n_particles)), cotangent[0]),)


for_particles.defvjp(_for_particles_forward, _for_particles_backward)


def in_turn(samples: Float[Array, " n *s"], n_particles: int) -> Float[Array, " P *s"]:
    """Give particles the samples in turn: particle p takes sample p mod n."""
    n = samples.shape[0]
    if n in (1, n_particles):  # one sample broadcasts
        return samples
    times = (-(-n_particles // n), *(1,) * (samples.ndim - 1))
    return jnp.tile(samples, times)[:n_particles]


def failed(batch: Batch) -> Float[Array, " B"]:
    """Return the cell's own quality, [B]: 1 if it failed any quality column, else 0."""
    return (jnp.max(batch.qc_fail, axis=-1) != 0).astype(jnp.float32)


def _gathered_sum(rows: Array, index: Array, scale: Array) -> Array:
    picked = jnp.take(rows, index, axis=-2, mode="clip")  # [..., B, K, F]
    scale = scale.astype(rows.dtype)[..., None]
    return jnp.sum(picked * scale.reshape((1,) * (picked.ndim - scale.ndim) + scale.shape), -2)


def _inverse_or_zero(n: Array) -> Array:
    return jnp.where(n > 0, 1 / jnp.maximum(n, 1), 0).astype(jnp.float32)
