"""Values and gradients of the negative binomial head, chunk by chunk (see negative_binomial.py)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gpo_vae_jax.model import blocks
from gpo_vae_jax.model.blocks import over_last, over_rows
from gpo_vae_jax.model.distributions import RATE_FLOOR
from gpo_vae_jax.model.gammas import log_gammas, log_gammas_by_theta
from gpo_vae_jax.model.negative_binomial_parts import (
    MEAN_FLOOR,
    CellArrays,
    HeadArrays,
    by_sample,
    mixed,
)
from gpo_vae_jax.types import Array


class _Shares(NamedTuple):
    """The softmax of the logits, exponential / total, in K groups of n particles.

    Of a mixture, the groups are the particles with the change, then those without.
    """

    exponential: Array  # [b, K, n, G]
    total: Array  # [b, K, n]


def values_of(head: HeadArrays, cells: CellArrays) -> Array:
    """Return log p(x | z) summed over genes and over the particles of each group, [K, B]."""

    def of_chunk(some: CellArrays) -> tuple[None, Array]:
        shares = _shares(head, some)
        return None, mixed(_value(head, some, _by_gene(head, some, shares)[0]), some)[0]

    return _by_chunks(of_chunk, None, cells, head.kernel.shape[1])[1].T


def values_and_gradients(
    head: HeadArrays, cells: CellArrays
) -> tuple[Array, tuple[Array | None, ...]]:
    """Return `values_of` and the gradients of the sum of weight * value.

    Returns:
      The values [K, B]; the gradients with respect to hidden, kernel, bias, log_concentration,
      change and log_shares.
    """
    zeros = jax.tree.map(jnp.zeros_like, head)
    total, (values, by_hidden, by_change, by_shares) = _by_chunks(
        partial(_chunk, head), zeros, cells, head.kernel.shape[1]
    )
    n_cells, n_hidden = cells.counts.shape[0], cells.hidden.shape[2]
    by_hidden = jnp.swapaxes(by_hidden.reshape(n_cells, -1, n_hidden), 0, 1)
    by_theta = total.theta * head.theta
    return values.T, (by_hidden, total.kernel, total.bias, by_theta, by_change, by_shares)


def _chunk(head: HeadArrays, cells: CellArrays) -> tuple[HeadArrays, tuple[Array | None, ...]]:
    """Return the gradients by the parameters, the values of the cells, and the other gradients."""
    shares = _shares(head, cells)
    rates, by_theta = _by_gene(head, cells, shares)
    value, weight, by_shares = mixed(_value(head, cells, rates), cells)

    by_mu = _by_mu(head, cells, shares)
    slope = over_last(by_mu) / shares.total
    by_logits = by_mu - shares.exponential * slope[..., None]  # [b, K, n, G], not yet weighted
    n = by_logits.shape[2]
    x, n_genes = cells.counts.astype(head.theta.dtype), by_logits.shape[-1]
    acting = by_logits
    if cells.log_shares is not None:  # both hypotheses share the hidden layer
        both = by_logits[:, :, 0] * weight[..., None]
        acting, escaped = jnp.split(both, 2, axis=1)
        by_logits = acting + escaped
    by_logits = by_logits.reshape(-1, n_genes)
    weights = jnp.ones(len(by_logits), x.dtype)
    if cells.log_shares is None:
        weights = jnp.repeat(weight, n, axis=1).reshape(-1)  # [b P]

    gammas = over_rows(n * weight.sum(1), log_gammas_by_theta(x, head.theta[None]))
    rows = (-1, n_genes)
    gradients = HeadArrays(
        kernel=(cells.hidden * weights[None]) @ by_logits,
        bias=over_rows(weights, by_logits),
        theta=gammas - over_rows(weight.reshape(-1), by_theta.reshape(rows)),
    )
    by_hidden = (by_logits @ head.kernel.T) * weights[:, None]
    by_change = None
    if cells.change is not None:
        each = acting.reshape(len(x), -1, n_genes) * weights.reshape(len(x), -1, 1)
        by_change = by_sample(each, cells.change.shape[1])
    return gradients, (value, by_hidden.reshape(len(x), -1), by_change, by_shares)


def _shares(head: HeadArrays, cells: CellArrays) -> _Shares:
    """Multiply the hidden layer by the kernel, and exponentiate.

    The hidden layer comes transposed. Otherwise XLA's CPU backend would fuse product, maximum and
    exponential into one operation that multiplies twice.
    """
    logits = jax.lax.dot_general(cells.hidden, head.kernel, (((0,), (0,)), ((), ())))
    logits = logits.reshape(*cells.weight.shape, -1, logits.shape[-1]) + _wide(head.bias)
    if cells.change is not None:
        acting = logits + _of_particles(cells.change, logits)
        mixture = cells.log_shares is not None
        logits = jnp.concatenate([acting, logits], axis=1) if mixture else acting
    exponential = jnp.exp(logits - logits.max(-1, keepdims=True))
    return _Shares(exponential, over_last(exponential))


def _value(head: HeadArrays, cells: CellArrays, rates: Array) -> Array:
    """Add the gamma terms and sum over genes, [b, K]."""
    n = cells.hidden.shape[1] // cells.weight.size
    x = cells.counts.astype(head.theta.dtype)
    return over_last(rates) + n * over_last(log_gammas(x, head.theta[None]))[:, None]


def _by_gene(head: HeadArrays, cells: CellArrays, shares: _Shares) -> tuple[Array, Array]:
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


def _by_mu(head: HeadArrays, cells: CellArrays, shares: _Shares) -> Array:
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


def _of_particles(change: Array, logits: Array) -> Array:
    """Return the change of every particle, of the shape of the logits or broadcasting to it."""
    n, n_particles = change.shape[1], logits[0, ..., 0].size
    if n == 1:
        return change[:, None]
    return jnp.tile(change, (1, -(-n_particles // n), 1))[:, :n_particles].reshape(logits.shape)


def _by_chunks(function: Callable, zeros, cells: CellArrays, n_genes: int):
    """Apply `blocks.by_chunks` to cells whose `hidden` is still [P, B, H]."""
    n_particles, n_cells, n_hidden = cells.hidden.shape
    n_bytes = n_particles * n_cells * n_genes * cells.hidden.dtype.itemsize
    n_chunks = blocks.n_chunks(n_cells, n_bytes)
    hidden = cells.hidden.reshape(n_particles, n_chunks, -1, n_hidden)
    hidden = hidden.transpose(1, 3, 2, 0).reshape(n_chunks, n_hidden, -1)
    rest = jax.tree.map(lambda a: a.reshape(n_chunks, -1, *a.shape[1:]), cells[1:])
    return blocks.by_chunks(function, zeros, CellArrays(hidden, *rest))


def _wide(of_genes: Array) -> Array:
    return of_genes[None, None, None]
