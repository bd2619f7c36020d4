"""The log-likelihood of the negative binomial head, with gradients written out (docs/method.md 2).

With m = mu + 1e-4 and r = m / theta, the inverse of the rate,

    log p(x) = log_gammas(x, theta) + x log r - (x + theta) log(1 + r).

On a CPU cells are processed in chunks that fit its cache: logits, likelihood, gradients and their
products with the weights are computed before the next chunk, and no array of size P x B x G is
kept. Elsewhere all cells are processed at once, in few passes.
"""

from __future__ import annotations

from types import ModuleType

import jax
import jax.numpy as jnp

from gpo_vae_jax.model import negative_binomial_chunks, negative_binomial_whole
from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.model.negative_binomial_parts import CellArrays, HeadArrays
from gpo_vae_jax.types import Array

_TOGETHER = 5  # particles under one logarithm: (1e-4)^5 and (4e7)^5 fit float32


@jax.custom_vjp
def log_likelihood(
    hidden: Array,
    kernel: Array,
    bias: Array,
    log_concentration: Array,
    counts: Array,
    library_size: Array,
    change: Array | None = None,
) -> Array:
    """Return log p(x | z) summed over genes, [P, B]; its gradient computes the logits again.

    Args:
      hidden: [P, B, H] the decoder's last hidden layer.
      kernel: [H, G] of the logits.
      bias: [G] of the logits.
      log_concentration: [G].
      counts: [B, G] of any type; no gradient.
      library_size: [B]; no gradient.
      change: [B, n, G] added to the logits; of n samples, which particles take in turn.
    """
    weight = jnp.ones(hidden.shape[:2], hidden.dtype)
    cells = _cells(hidden, counts, library_size, weight, change)
    return _form().values_of(_head(kernel, bias, log_concentration), cells)


def _likelihood_forward(*arrays: Array) -> tuple[Array, tuple[Array, ...]]:
    return log_likelihood(*arrays), arrays


def _likelihood_backward(arrays: tuple[Array, ...], cotangent: Array) -> tuple[Array | None, ...]:
    hidden, kernel, bias, log_concentration, counts, library_size, change = arrays
    cells = _cells(hidden, counts, library_size, cotangent, change)
    _, gradients = _form().values_and_gradients(_head(kernel, bias, log_concentration), cells)
    *of_head, by_change, _ = gradients
    return *of_head, None, None, by_change


log_likelihood.defvjp(_likelihood_forward, _likelihood_backward)


@jax.custom_vjp
def weighted_log_likelihood(
    hidden: Array,
    kernel: Array,
    bias: Array,
    log_concentration: Array,
    counts: Array,
    library_size: Array,
    weight: Array,
    change: Array | None = None,
    log_shares: Array | None = None,
) -> Array:
    """Return the sum of weight * log p(x | z) over particles, cells and genes: a scalar.

    As the weights are known beforehand, value and gradient come out of one pass. With `log_shares`,
    p(x | z) is a mixture of the distributions with the change and without.

    Args:
      hidden: [P, B, H] the decoder's last hidden layer.
      kernel: [H, G] of the logits.
      bias: [G] of the logits.
      log_concentration: [G].
      counts: [B, G] of any type; no gradient.
      library_size: [B]; no gradient.
      weight: [B], the same for all particles.
      change: [B, n, G] added to the logits; of n samples, which particles take in turn.
      log_shares: [B, 2] log-probabilities that the change acts in a cell, and that it does not.
    """
    weights = _of_groups(hidden, weight, each=log_shares is not None)
    cells = _cells(hidden, counts, library_size, weights, change, log_shares)
    return jnp.sum(weights * _form().values_of(_head(kernel, bias, log_concentration), cells))


def _weighted_forward(*arrays: Array) -> tuple[Array, tuple[tuple[Array | None, ...], Array]]:
    hidden, kernel, bias, log_concentration, counts, library_size, weight, *change = arrays
    weights = _of_groups(hidden, weight, each=change[1] is not None)
    values, gradients = _form().values_and_gradients(
        _head(kernel, bias, log_concentration),
        _cells(hidden, counts, library_size, weights, *change),
    )
    return jnp.sum(weights * values), (gradients, values.sum(0))


def _weighted_backward(
    kept: tuple[tuple[Array | None, ...], Array], cotangent: Array
) -> tuple[Array | None, ...]:
    *of_head, by_change, by_shares, by_weight = jax.tree.map(
        lambda gradient: gradient * cotangent, (*kept[0], kept[1])
    )
    return *of_head, None, None, by_weight, by_change, by_shares


weighted_log_likelihood.defvjp(_weighted_forward, _weighted_backward)


def _form() -> ModuleType:
    return negative_binomial_chunks if on_cpu() else negative_binomial_whole


def _of_groups(hidden: Array, weight: Array, *, each: bool = False) -> Array:
    """Repeat [B] for the fewest equal groups of at most `_TOGETHER` particles, [K, B].

    With `each`, every particle is a group of its own.
    """
    n_particles = hidden.shape[0]
    if each:
        return jnp.broadcast_to(weight[None], (n_particles, *weight.shape))
    divisors = [k for k in range(1, n_particles + 1) if n_particles % k == 0]
    n_groups = next(k for k in divisors if n_particles // k <= _TOGETHER)
    return jnp.broadcast_to(weight[None], (n_groups, *weight.shape))


def _head(kernel: Array, bias: Array, log_concentration: Array) -> HeadArrays:
    return HeadArrays(kernel, bias, jnp.exp(log_concentration))


def _cells(
    hidden: Array,
    counts: Array,
    library_size: Array,
    weight: Array,
    change: Array | None,
    log_shares: Array | None = None,
) -> CellArrays:
    """Return all cells, with weights [K, B] of K consecutive groups of particles."""
    return CellArrays(hidden, counts, library_size, weight.T, change, log_shares)
