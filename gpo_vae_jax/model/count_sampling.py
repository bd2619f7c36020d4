"""Exact draws of counts, fast enough for billions of them.

Counts are drawn by inversion (count_search.py): on a CPU in tiles that fit its cache, on a GPU in
one kernel (count_kernel.py).
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

from gpo_vae_jax.model.count_kernel import counts_in_one_kernel, kernel_is_there
from gpo_vae_jax.model.count_search import search_of, searched
from gpo_vae_jax.model.row_noise import uniform_rows
from gpo_vae_jax.types import Array

_TILE = {"cpu": 1 << 16}  # numbers searched at a time: they fit the cache of a core
_TILE_ELSEWHERE = 1 << 22


def sample_normal(keys: Array, mean: Array, variance: Array, genes: Array) -> Array:
    """Draw Gaussian values, [P, C, G] float32 (arguments: see `sample_counts`)."""
    normal = ndtri(uniform_rows(jax.random.key_data(keys), genes, jnp.uint32(0)))
    return mean + jnp.sqrt(variance) * normal


def sample_counts(keys: Array, mean: Array, concentration: Array | None, genes: Array) -> Array:
    """Draw negative binomial counts, or Poisson counts without concentration, [P, C, G] float32.

    A count depends on its row's key, its gene's number and its own distribution only. Fastest
    where neighbouring genes have similar means.

    Args:
      keys: [P, C] a random key for each row.
      mean: [P, C, G] expected counts.
      concentration: [G] of the negative binomial, or None.
      genes: [G] uint32, the number of each gene.
    """
    shape = mean.shape
    n_rows, n_genes = shape[0] * shape[1], shape[2]
    keys = keys.reshape(-1)
    mean = mean.reshape(n_rows, n_genes)
    if kernel_is_there():
        counts = counts_in_one_kernel(jax.random.key_data(keys), mean, concentration, genes)
        return counts.reshape(shape)
    tile = _TILE.get(jax.default_backend(), _TILE_ELSEWHERE)
    width = min(n_genes, max(16, tile // n_rows))
    starts = jnp.arange(-(-n_genes // width)) * width

    def one(counts: Array, start: Array) -> tuple[Array, None]:
        """Draw the genes from `start` on; the last tile overlaps the one before."""

        def cut(values: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(values, start, width, values.ndim - 1)

        shape_parameter = None if concentration is None else cut(concentration)
        drawn = _tile(keys, cut(mean), shape_parameter, cut(genes))
        at = (jnp.zeros_like(start), jnp.minimum(start, n_genes - width))
        return jax.lax.dynamic_update_slice(counts, drawn, at), None

    counts, _ = jax.lax.scan(one, jnp.zeros((n_rows, n_genes)), starts)
    return counts.reshape(shape)


def _tile(keys: Array, mean: Array, concentration: Array | None, genes: Array) -> Array:
    """Draw counts [N, W] with means [N, W]: negative binomial, or Poisson without concentration."""
    search = search_of(mean, None if concentration is None else concentration[None])
    counts = searched(search, partial(uniform_rows, jax.random.key_data(keys), genes))
    mixed = jax.lax.cond(
        search.long.any(),
        lambda: _mixture(keys, jnp.where(search.long, mean, 1.0), concentration, genes),
        lambda: jnp.zeros_like(mean),
    )
    return jnp.where(search.long, mixed, counts)


def _mixture(keys: Array, mean: Array, concentration: Array | None, genes: Array) -> Array:
    """Draw Gamma-Poisson (or Poisson) counts [N, W], each from a key of its own."""

    def one(key: Array, gene: Array, mean: Array, concentration: Array | None) -> Array:
        gamma, poisson = jax.random.split(jax.random.fold_in(key, gene))
        if concentration is not None:
            mean = jax.random.gamma(gamma, concentration) * mean / concentration
        return jax.random.poisson(poisson, mean).astype(jnp.float32)

    along = None if concentration is None else 0
    by_gene = jax.vmap(one, in_axes=(None, 0, 0, along))
    return jax.vmap(by_gene, in_axes=(0, None, 0, None))(keys, genes, mean, concentration)
