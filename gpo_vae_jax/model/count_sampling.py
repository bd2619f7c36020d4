"""Exact draws of counts, fast enough for billions of them.

Counts are drawn by inversion: p(0), p(1), ... are subtracted from a uniform number until nothing
is left. Negative binomial and Poisson share the search, as both have
p(k + 1) = p(k) (a + b k) / (k + 1).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

from gpo_vae_jax.model.row_noise import uniform_rows
from gpo_vae_jax.types import Array

_UNROLLED = 8  # steps of the search between two checks whether any number goes on
_SMALLEST = -60.0  # log p(0); below, p(0) vanishes and the count is drawn as a sum of several
_NEGLIGIBLE = 1e-9  # beyond the mean, a smaller probability ends the search
_LONG = 3000.0  # steps; where more are likely, a Gamma-Poisson mixture is drawn instead
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
    tile = _TILE.get(jax.default_backend(), _TILE_ELSEWHERE)
    width = min(n_genes, max(16, tile // n_rows))
    starts = jnp.arange(-(-n_genes // width)) * width
    keys = keys.reshape(-1)
    mean = mean.reshape(n_rows, n_genes)

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
    if concentration is None:
        log_p0, a, b = -mean, mean, jnp.zeros_like(mean)
        steps = mean
    else:
        theta = concentration[None]
        scale = mean / theta  # of the Gamma
        b = scale / (1 + scale)
        log_p0, a = -theta * jnp.log1p(scale), theta * b
        steps = mean + 12 * scale
    long = steps > _LONG
    n_terms = jnp.where(long, 0, jnp.ceil(jnp.maximum(log_p0 / _SMALLEST, 1))).astype(jnp.int32)
    parts = jnp.maximum(n_terms, 1).astype(jnp.float32)
    p0, a, mean_part = jnp.exp(log_p0 / parts), a / parts, mean / parts
    words = jax.random.key_data(keys)

    def term(state: tuple[Array, Array]) -> tuple[Array, Array]:
        number, counts = state
        uniform = uniform_rows(words, genes, number.astype(jnp.uint32))
        uniform = jnp.where(number < n_terms, uniform, 0)
        return number + 1, counts + _search(uniform, p0, a, b, mean_part)

    start = (jnp.int32(0), jnp.zeros_like(mean))
    _, counts = jax.lax.while_loop(lambda state: (state[0] < n_terms).any(), term, start)
    mixed = jax.lax.cond(
        long.any(),
        lambda: _mixture(keys, jnp.where(long, mean, 1.0), concentration, genes),
        lambda: jnp.zeros_like(mean),
    )
    return jnp.where(long, mixed, counts)


def _search(uniform: Array, p0: Array, a: Array, b: Array, mean: Array) -> Array:
    """Count the steps of p(k + 1) = p(k) (a + b k) / (k + 1) until `uniform` is used up."""

    def step(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        first, left, p, counts = state
        left = jnp.where((p < _NEGLIGIBLE) & (first > mean), 0, left)
        for i in range(_UNROLLED):
            k = first + i
            left = left - p
            counts = counts + (left > 0)
            p = p * ((a + b * k) * (1 / (k + 1)))
        return first + _UNROLLED, left, p, counts

    def goes_on(state: tuple[Array, Array, Array, Array]) -> Array:
        return jnp.any(state[1] > 0)

    start = (jnp.float32(0), uniform, p0, jnp.zeros_like(p0))
    return jax.lax.while_loop(goes_on, step, start)[3]


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
