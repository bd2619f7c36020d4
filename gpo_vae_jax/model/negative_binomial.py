"""The log-likelihood of the negative binomial head, with gradients written out (docs/method.md 2).

With m = mu + 1e-4 and r = m / theta, the inverse of the rate,

    log p(x) = log_gammas(x, theta) + x log r - (x + theta) log(1 + r).

Cells are processed in chunks that fit a CPU's cache: logits, likelihood, gradients and their
products with the weights are computed before the next chunk, and no array of size P x B x G is
kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gpo_vae_jax.model import blocks
from gpo_vae_jax.model.blocks import over_last, over_rows
from gpo_vae_jax.model.distributions import RATE_FLOOR
from gpo_vae_jax.model.gammas import log_gammas, log_gammas_by_theta
from gpo_vae_jax.types import Array

MEAN_FLOOR = 1e-4
_TOGETHER = 5  # particles under one logarithm: (1e-4)^5 and (4e7)^5 fit float32


class _Head(NamedTuple):
    """The parameters of the head."""

    kernel: Array  # [H, G]
    bias: Array  # [G]
    theta: Array  # [G]


class _Cells(NamedTuple):
    """Some cells, on the first axis of all arrays but `hidden`: chunks are views."""

    hidden: Array  # [H, b P], a column for each particle of each cell
    counts: Array  # [b, G]
    library_size: Array  # [b]
    weight: Array  # [b, K] of the particles of each of K groups, in the gradient
    change: Array | None  # [b, P, G] or, the same for all particles, [b, 1, G]: added to the logits


class _Shares(NamedTuple):
    """The softmax of the logits, exponential / total, in K groups of n particles."""

    exponential: Array  # [b, K, n, G]
    total: Array  # [b, K, n]


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
      change: [P, B, G] or [1, B, G], added to the logits.
    """
    weight = jnp.ones(hidden.shape[:2], hidden.dtype)
    cells = _cells(hidden, counts, library_size, weight, change)
    return _values(_Head(kernel, bias, jnp.exp(log_concentration)), cells)


def _likelihood_forward(*arrays: Array) -> tuple[Array, tuple[Array, ...]]:
    return log_likelihood(*arrays), arrays


def _likelihood_backward(arrays: tuple[Array, ...], cotangent: Array) -> tuple[Array | None, ...]:
    hidden, kernel, bias, log_concentration, counts, library_size, change = arrays
    head = _Head(kernel, bias, jnp.exp(log_concentration))
    _, gradients = _values_and_gradients(
        head, _cells(hidden, counts, library_size, cotangent, change)
    )
    *of_head, by_change = gradients
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
) -> Array:
    """Return the sum of weight * log p(x | z) over particles, cells and genes: a scalar.

    As the weights are known beforehand, value and gradient come out of one pass.

    Args:
      hidden: [P, B, H] the decoder's last hidden layer.
      kernel: [H, G] of the logits.
      bias: [G] of the logits.
      log_concentration: [G].
      counts: [B, G] of any type; no gradient.
      library_size: [B]; no gradient.
      weight: [B], the same for all particles.
      change: [P, B, G] or [1, B, G], added to the logits.
    """
    weights = _of_groups(hidden, weight)
    cells = _cells(hidden, counts, library_size, weights, change)
    return jnp.sum(weights * _values(_Head(kernel, bias, jnp.exp(log_concentration)), cells))


def _weighted_forward(*arrays: Array) -> tuple[Array, tuple[tuple[Array | None, ...], Array]]:
    hidden, kernel, bias, log_concentration, counts, library_size, weight, change = arrays
    weights = _of_groups(hidden, weight)
    values, gradients = _values_and_gradients(
        _Head(kernel, bias, jnp.exp(log_concentration)),
        _cells(hidden, counts, library_size, weights, change),
    )
    return jnp.sum(weights * values), (gradients, values.sum(0))


def _weighted_backward(
    kept: tuple[tuple[Array | None, ...], Array], cotangent: Array
) -> tuple[Array | None, ...]:
    *of_head, by_change, by_weight = jax.tree.map(
        lambda gradient: gradient * cotangent, (*kept[0], kept[1])
    )
    return *of_head, None, None, by_weight, by_change


weighted_log_likelihood.defvjp(_weighted_forward, _weighted_backward)


def _of_groups(hidden: Array, weight: Array) -> Array:
    """Repeat [B] for the fewest equal groups of at most `_TOGETHER` particles, [K, B]."""
    n_particles = hidden.shape[0]
    divisors = [k for k in range(1, n_particles + 1) if n_particles % k == 0]
    n_groups = next(k for k in divisors if n_particles // k <= _TOGETHER)
    return jnp.broadcast_to(weight[None], (n_groups, *weight.shape))


def _values(head: _Head, cells: _Cells) -> Array:
    """Return log p(x | z) summed over genes and over the particles of each group, [K, B]."""

    def of_chunk(some: _Cells) -> tuple[None, Array]:
        shares = _shares(head, some)
        return None, _value(head, some, _by_gene(head, some, shares)[0])

    return _by_chunks(of_chunk, None, cells, head.kernel.shape[1])[1].T


def _values_and_gradients(
    head: _Head, cells: _Cells
) -> tuple[Array, tuple[Array, Array, Array, Array, Array | None]]:
    """Return `_values` and the gradients of the sum of weight * value.

    Returns:
      The values [K, B]; the gradients with respect to hidden, kernel, bias, log_concentration and
      change.
    """
    zeros = jax.tree.map(jnp.zeros_like, head)
    total, (values, by_hidden, by_change) = _by_chunks(
        partial(_chunk, head), zeros, cells, head.kernel.shape[1]
    )
    n_cells, n_hidden = cells.counts.shape[0], cells.hidden.shape[2]
    by_hidden = jnp.swapaxes(by_hidden.reshape(n_cells, -1, n_hidden), 0, 1)
    if by_change is not None:
        by_change = jnp.swapaxes(by_change, 0, 1)
    by_theta = total.theta * head.theta
    return values.T, (by_hidden, total.kernel, total.bias, by_theta, by_change)


def _chunk(head: _Head, cells: _Cells) -> tuple[_Head, tuple[Array, Array, Array | None]]:
    """Return the gradients by the parameters, the values of the cells, and the other gradients."""
    shares = _shares(head, cells)
    rates, by_theta = _by_gene(head, cells, shares)
    value = _value(head, cells, rates)

    by_mu = _by_mu(head, cells, shares)
    slope = over_last(by_mu) / shares.total
    by_logits = by_mu - shares.exponential * slope[..., None]  # [b, K, n, G], not yet weighted
    n = by_logits.shape[2]
    by_logits = by_logits.reshape(-1, by_logits.shape[-1])
    weights = jnp.repeat(cells.weight, n, axis=1).reshape(-1)  # [b P]

    x, weight = cells.counts.astype(head.theta.dtype), cells.weight
    gammas = over_rows(n * weight.sum(1), log_gammas_by_theta(x, head.theta[None]))
    rows = (-1, x.shape[-1])
    gradients = _Head(
        kernel=(cells.hidden * weights[None]) @ by_logits,
        bias=over_rows(weights, by_logits),
        theta=gammas - over_rows(weight.reshape(-1), by_theta.reshape(rows)),
    )
    by_hidden = (by_logits @ head.kernel.T) * weights[:, None]
    by_change = None
    if cells.change is not None:
        by_change = by_logits.reshape(len(x), -1, x.shape[-1]) * weights.reshape(len(x), -1, 1)
        if cells.change.shape[1] == 1:
            by_change = reduce(jnp.add, jnp.split(by_change, by_change.shape[1], axis=1))
    return gradients, (value, by_hidden.reshape(x.shape[0], -1), by_change)


def _shares(head: _Head, cells: _Cells) -> _Shares:
    """Multiply the hidden layer by the kernel, and exponentiate.

    The hidden layer comes transposed. Otherwise XLA's CPU backend would fuse product, maximum and
    exponential into one operation that multiplies twice.
    """
    logits = jax.lax.dot_general(cells.hidden, head.kernel, (((0,), (0,)), ((), ())))
    logits = logits.reshape(*cells.weight.shape, -1, logits.shape[-1]) + _wide(head.bias)
    if cells.change is not None:
        one = cells.change.shape[1] == 1
        logits = logits + cells.change.reshape(*(logits[:, :1, :1] if one else logits).shape)
    exponential = jnp.exp(logits - logits.max(-1, keepdims=True))
    return _Shares(exponential, over_last(exponential))


def _value(head: _Head, cells: _Cells, rates: Array) -> Array:
    """Add the gamma terms and sum over genes, [b, K]."""
    n = cells.hidden.shape[1] // cells.weight.size
    x = cells.counts.astype(head.theta.dtype)
    return over_last(rates) + n * over_last(log_gammas(x, head.theta[None]))[:, None]


def _by_gene(head: _Head, cells: _Cells, shares: _Shares) -> tuple[Array, Array]:
    """Return x log r - (x + theta) log(1 + r) and minus its derivative by theta, [b, K, G].

    Both are summed over the n particles of a group: one logarithm of a product of n factors.
    """
    theta = head.theta[None, None]
    x = cells.counts.astype(theta.dtype)[:, None]
    inverse = 1 / theta
    per_unit = jnp.maximum(inverse, 1)  # in units of min(theta, 1) the product fits float32
    scale = cells.library_size[:, None, None] / shares.total
    product, grown, falls = 1.0, 0.0, 0.0  # of means; of 1 + r, less 1; the sum of `_fall`
    n = shares.total.shape[2]
    for particle in range(n):
        mean = shares.exponential[:, :, particle] * scale[:, :, particle, None] + MEAN_FLOOR
        falls = falls + _fall(x, mean, theta)
        mean = jnp.minimum(mean, theta / RATE_FLOOR)
        product = product * (mean * per_unit)
        grown = grown + mean * inverse * (1 + grown)
    log_rates = jnp.log1p(grown)
    in_units = jnp.log(product) - n * jnp.maximum(jnp.log(theta), 0)
    return x * in_units - (x + theta) * log_rates, log_rates + falls


def _by_mu(head: _Head, cells: _Cells, shares: _Shares) -> Array:
    """Return mu times the derivative with respect to mu, [b, K, n, G]."""
    theta = _wide(head.theta)
    x = cells.counts.astype(theta.dtype)[:, None, None]
    scale = cells.library_size[:, None, None] / shares.total
    mu = shares.exponential * scale[..., None]
    mean = mu + MEAN_FLOOR
    return _fall(x, mean, theta) * (theta * (mu / mean))


def _fall(x: Array, mean: Array, theta: Array) -> Array:
    """Return (x - m) / (m + theta); 0 where the rate is at its floor, which is constant."""
    return jnp.where(mean <= theta / RATE_FLOOR, (x - mean) / (mean + theta), 0)


def _cells(
    hidden: Array, counts: Array, library_size: Array, weight: Array, change: Array | None
) -> _Cells:
    """Return all cells for `_by_chunks`, with weights [K, B] of K consecutive groups."""
    change = None if change is None else jnp.swapaxes(change, 0, 1)
    return _Cells(hidden, counts, library_size, weight.T, change)


def _by_chunks(function: Callable, zeros, cells: _Cells, n_genes: int):
    """Apply `blocks.by_chunks` to cells whose `hidden` is still [P, B, H]."""
    n_particles, n_cells, n_hidden = cells.hidden.shape
    n_bytes = n_particles * n_cells * n_genes * cells.hidden.dtype.itemsize
    n_chunks = blocks.n_chunks(n_cells, n_bytes)
    hidden = cells.hidden.reshape(n_particles, n_chunks, -1, n_hidden)
    hidden = hidden.transpose(1, 3, 2, 0).reshape(n_chunks, n_hidden, -1)
    rest = jax.tree.map(lambda a: a.reshape(n_chunks, -1, *a.shape[1:]), cells[1:])
    return blocks.by_chunks(function, zeros, _Cells(hidden, *rest))


def _wide(of_genes: Array) -> Array:
    return of_genes[None, None, None]
