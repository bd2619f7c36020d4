"""Counts by inversion: the search that the forms for a CPU and for a GPU share.

p(0), p(1), ... are subtracted from a uniform number until nothing is left. Negative binomial and
Poisson share the search, as both have p(k + 1) = p(k) (a + b k) / (k + 1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gpo_vae_jax.types import Array

_UNROLLED = 8  # steps of the search between two checks whether any number goes on
_SMALLEST = -60.0  # log p(0); below, p(0) vanishes and the count is drawn as a sum of several
_NEGLIGIBLE = 1e-9  # beyond the mean, a smaller probability ends the search
_LONG = 3000.0  # steps; where more are likely, a Gamma-Poisson mixture is drawn instead


class Search(NamedTuple):
    """How the counts [N, W] are searched: each is the sum of `n_terms` counts of one law."""

    n_terms: Array  # [N, W] int32; 0 where the search is too long
    p0: Array  # [N, W] probability of no count in one term
    a: Array  # [N, W]
    b: Array  # [N, W]
    mean: Array  # [N, W] of one term
    long: Array  # [N, W] where the Gamma-Poisson mixture is drawn instead


def search_of(mean: Array, concentration: Array | None) -> Search:
    """Return the search for counts with means [N, W], Poisson without concentration [1, W]."""
    if concentration is None:
        log_p0, a, b = -mean, mean, jnp.zeros_like(mean)
        steps = mean
    else:
        theta = concentration
        scale = mean / theta  # of the Gamma
        b = scale / (1 + scale)
        log_p0, a = -theta * jnp.log1p(scale), theta * b
        steps = mean + 12 * scale
    long = steps > _LONG
    n_terms = jnp.where(long, 0, jnp.ceil(jnp.maximum(log_p0 / _SMALLEST, 1))).astype(jnp.int32)
    parts = jnp.maximum(n_terms, 1).astype(jnp.float32)
    return Search(n_terms, jnp.exp(log_p0 / parts), a / parts, b, mean / parts, long)


def searched(
    search: Search, uniform_of: Callable[[Array], Array], any_of: Callable[[Array], Array] = jnp.any
) -> Array:
    """Draw the counts [N, W] of a search; 0 where it is too long.

    Args:
      search: from `search_of`.
      uniform_of: returns uniform numbers [N, W], others for each uint32 scalar.
      any_of: returns whether any of [N, W] is true.
    """

    def term(state: tuple[Array, Array]) -> tuple[Array, Array]:
        number, counts = state
        uniform = jnp.where(number < search.n_terms, uniform_of(number.astype(jnp.uint32)), 0)
        return number + 1, counts + steps_of(uniform, *search[1:5], any_of)

    start = (jnp.int32(0), jnp.zeros_like(search.mean))
    return jax.lax.while_loop(lambda state: any_of(state[0] < search.n_terms), term, start)[1]


def steps_of(
    uniform: Array, p0: Array, a: Array, b: Array, mean: Array, any_of: Callable[[Array], Array]
) -> Array:
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

    start = (jnp.float32(0), uniform, p0, jnp.zeros_like(p0))
    return jax.lax.while_loop(lambda state: any_of(state[1] > 0), step, start)[3]
