"""The effect of each cell's perturbation on the network genes (docs/method.md 2 and 10).

With latent effects it is the perturbed genes' rows of E * M. With propagated effects a change
starts at the perturbed genes and travels along the edges; row u of the result is then the change
of network gene u itself, in natural-log expression.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float

from gpo_vae_jax.model.cells import Perturbed, dosage_sum
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Sizes

LARGEST = 4.0  # |change| of a network gene, in natural-log expression, that propagation approaches


class CellEffects(NamedTuple):
    """The effects of B cells, stored once for every treatment or once for every cell.

    Like a `Batch`, it says which rows each cell adds up.
    """

    rows: Array  # [P, n, T]
    perturbation: Array  # [B, K] int32, positions among the n rows
    dosage: Array  # [B, K] 1 where `perturbation` counts

    def through(self, function: Callable[[Array], Array]) -> Array:
        """Return function(effect) of every cell, [P, B, F], for a linear `function`.

        It is computed once for every row.
        """
        return dosage_sum(function(self.rows), self)

    def by_cell(self, function: Callable[[Array], Array]) -> Array:
        """Return what `through` returns with the cells first, [B, P, F], without a transposition.

        The gradient with respect to a row is then a sum over rows of memory that hang together.
        Where there are fewer cells than rows, `function` is computed for the cells.
        """
        if len(self.perturbation) < self.rows.shape[1]:
            return jnp.swapaxes(function(self.of_cells()), 0, 1)
        rows = jnp.swapaxes(function(self.rows), 0, 1)  # [n, P, F]
        of_cells = dosage_sum(rows.reshape(len(rows), -1), self)
        return of_cells.reshape(-1, *rows.shape[1:])

    def of_cells(self) -> Array:
        """Return the effect of every cell, [P, B, T]."""
        return dosage_sum(self.rows, self)


def cell_effects(
    embedding: Float[Array, "P n T"],
    mask: Float[Array, "P n T"],
    cells: Perturbed,
    *,
    spec: Spec,
    rows: Array | None = None,
) -> CellEffects:
    """Return the effects of cells, given samples of E and M.

    Args:
      embedding: E; n is R (or the length of `rows`), and T with propagated effects.
      mask: M, likewise.
      cells: the perturbations.
      spec: sizes and settings of the model.
      rows: the treatments that `cells.perturbation` indexes; by default the R perturbed ones.
    """
    config, sizes = spec.model, spec.sizes
    if config.effect == "latent":
        return CellEffects(embedding * mask, cells.perturbation, cells.dosage)
    n = sizes.n_treatments
    own = with_assumed(jnp.diagonal(embedding, axis1=-2, axis2=-1), sizes)  # kappa, [P, T]
    weights = embedding * mask * (1 - jnp.eye(n, dtype=mask.dtype))[None]
    rows = jnp.arange(sizes.n_perturbed) if rows is None else rows
    if cells.perturbation.shape[1] == 1:  # a row for every treatment
        held = rows[:, None] == jnp.arange(n)[None]
        reached = propagate(own, weights, held, config.propagate, sources=rows)
        return CellEffects(reached, cells.perturbation, cells.dosage)
    n_cells = cells.perturbation.shape[0]  # a row for every cell
    number = rows[cells.perturbation]  # [B, K]
    held = ((number[..., None] == jnp.arange(n)[None, None]) & (cells.dosage != 0)[..., None]).any(
        1
    )
    every = jnp.arange(n_cells, dtype=jnp.int32)[:, None]
    reached = propagate(own, weights, held, config.propagate)
    return CellEffects(reached, every, jnp.ones((n_cells, 1), jnp.float32))


def with_assumed(own: Float[Array, "P T"], sizes: Sizes) -> Float[Array, "P T"]:
    """Return kappa, with that of treatments without training cells replaced by a mean.

    No cell has told how far such a perturbation changes its own gene. The mean over the measured
    genes whose perturbations training cells carry is assumed.
    """
    place, unseen = sizes.network_genes, set(sizes.unseen)
    seen = [t for t in range(sizes.n_perturbed) if t not in unseen and place[t] >= 0]
    if not sizes.unseen or not seen:
        return own
    mean = jnp.take(own, jnp.asarray(seen), axis=-1).mean(axis=-1, keepdims=True)
    assumed = jnp.isin(jnp.arange(sizes.n_treatments), jnp.asarray(sizes.unseen))
    return jnp.where(assumed[None], mean, own)


def propagate(
    own: Float[Array, "P T"],
    weights: Float[Array, "P T T"],
    held: Bool[Array, "n T"],
    steps: int,
    sources: Array | None = None,
) -> Float[Array, "P n T"]:
    """Return the change of every network gene after `steps` steps along the edges.

    Perturbed genes are held at their own effect, whatever regulates them. Every other gene changes
    by the weighted sum of its regulators' changes. Changes approach +-`LARGEST` softly, so that
    cycles stay finite.

    Args:
      own: kappa, the effect of each gene's perturbation on the gene itself.
      weights: [source, target], with a diagonal of 0.
      held: the perturbed genes of each of n conditions.
      steps: number of steps; 0 leaves the perturbed genes alone.
      sources: [n] the perturbed gene of each condition, where each has one: the first step is then
        its row of the weights, and no product.
    """
    start = own[:, None] * held[None]
    free = 1 - held.astype(weights.dtype)[None]
    change = _limited(start)
    for step in range(steps):
        if step == 0 and sources is not None:
            passed_on = _limited(own[:, sources])[..., None] * weights[:, sources]
        else:
            passed_on = change @ weights
        change = _limited(start + free * passed_on)
    return change


def _limited(change: Array) -> Array:
    return LARGEST * jnp.tanh(change / LARGEST)


def numbers_of_network(n_rows: int, spec: Spec) -> int:
    """Return about how many numbers the network of one particle takes, for a memory estimate.

    Args:
      n_rows: number of treatments, or conditions, whose effects are computed.
      spec: sizes and settings of the model.
    """
    config, n = spec.model, spec.sizes.n_treatments
    if config.effect == "propagated":
        return 10 * n * n + (2 + config.propagate) * n_rows * n
    return n_rows * (10 * n + 4 * config.embedding_encoder_n_hidden)
