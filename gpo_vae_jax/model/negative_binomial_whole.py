"""Values and gradients of the negative binomial head, all cells at once: the form for a GPU.

A GPU has no cache to stay within, and its time goes into passes over arrays of size P x B x G. With
the products there are seven: the logits are written; read for the logarithm of their sum, for the
value and the slope, and for the gradient; which is written, and read by both products. The genes
are filled up (`blocks.aligned`), or the compiler would copy arrays to do it. (The form for a CPU is
in negative_binomial_chunks.py; docs/method.md 2.)
"""

from __future__ import annotations

import math
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gpo_vae_jax.model.blocks import aligned
from gpo_vae_jax.model.distributions import RATE_FLOOR
from gpo_vae_jax.model.gammas import log_gammas, log_gammas_by_theta
from gpo_vae_jax.model.negative_binomial_parts import (
    IDLE_BIAS,
    IDLE_LOG_CONCENTRATION,
    MEAN_FLOOR,
    CellArrays,
    HeadArrays,
    by_sample,
    mixed,
)
from gpo_vae_jax.model.precision import as_read
from gpo_vae_jax.types import Array

_BLOCKS = 4  # of cells whose terms are added up elementwise
_LOWEST = -1e30  # below every logit


class _Parts(NamedTuple):
    """What the passes over the cells compute, elementwise, [V B, G]; never kept."""

    shares: Array  # the softmax of the logits
    mean: Array  # m, at most theta / RATE_FLOOR
    fall: Array  # (x - m) / (m + theta); 0 where the rate is at its floor
    by_mu: Array  # mu times the derivative with respect to mu


def values_of(head: HeadArrays, cells: CellArrays) -> Array:
    """Return log p(x | z) summed over genes and over the particles of each group, [K, B]."""
    filled, some = _filled(head, cells)
    logits = _logits(filled, some)
    value = _rates(_parts(filled, some, logits, _log_total(logits)), filled, some).sum(-1)
    return mixed(_grouped(value, head, cells), cells)[0].T


def values_and_gradients(
    head: HeadArrays, cells: CellArrays
) -> tuple[Array, tuple[Array | None, ...]]:
    """Return `values_of` and the gradients of the sum of weight * value.

    Returns:
      The values [K, B]; the gradients with respect to hidden, kernel, bias, log_concentration,
      change and log_shares.
    """
    n_genes, (filled, some) = head.kernel.shape[1], _filled(head, cells)
    logits = _logits(filled, some)
    total = _log_total(logits)
    sizes = _rows(some.library_size[:, None], logits)[:, 0]
    rates = _rates(_parts(filled, some, logits, total), filled, some)
    by_mu = _parts(filled, some, logits, _again(total, sizes)).by_mu
    value, slope = _sums_over_genes(rates, by_mu)
    value, weight, by_shares = mixed(_grouped(value, head, cells), cells)
    weights = _of_variants(weight, cells)[:, None]  # [V B, 1]

    parts = _parts(filled, some, logits, _again(total, slope))
    acting = by_logits = (parts.by_mu - parts.shares * slope[:, None]) * weights
    if cells.log_shares is not None:  # both hypotheses share the hidden layer
        acting, escaped = jnp.split(by_logits, 2)
        by_logits = acting + escaped
    by_logits = as_read(by_logits)
    by_kernel, by_bias = _by_kernel_and_bias(cells.hidden, by_logits)

    parts = _parts(filled, some, logits, _again(total, -slope))
    of_theta = (weights * (jnp.log1p(parts.mean / filled.theta[None]) + parts.fall)).sum(0)
    n = len(logits) // weight.size  # particles of a group
    gammas = _gammas_by_theta(n * weight.sum(1), cells.counts, head.theta)
    by_change = None
    if cells.change is not None:
        each = jnp.swapaxes(acting.reshape(-1, cells.counts.shape[0], acting.shape[-1]), 0, 1)
        by_change = by_sample(each[..., :n_genes], cells.change.shape[1])
    return value.T, (
        (by_logits @ filled.kernel.T).reshape(cells.hidden.shape),
        by_kernel[:, :n_genes],
        by_bias[:n_genes],
        (gammas - of_theta[:n_genes]) * head.theta,
        by_change,
        by_shares,
    )


def _filled(head: HeadArrays, cells: CellArrays) -> tuple[HeadArrays, CellArrays]:
    """Fill up the genes; the new ones take no share of the counts, and their value is 0."""
    more = aligned(head.kernel.shape[1]) - head.kernel.shape[1]
    kernel = jnp.pad(head.kernel, ((0, 0), (0, more)))
    bias = jnp.pad(head.bias, (0, more), constant_values=IDLE_BIAS)
    idle = math.exp(IDLE_LOG_CONCENTRATION)
    theta = jnp.pad(head.theta, (0, more), constant_values=idle)
    change = cells.change
    if change is not None:
        change = jnp.pad(change, ((0, 0), (0, 0), (0, more)))
    counts = jnp.pad(cells.counts, ((0, 0), (0, more)))
    return HeadArrays(kernel, bias, theta), cells._replace(counts=counts, change=change)


def _logits(head: HeadArrays, cells: CellArrays) -> Array:
    """Return the logits, [V B, G]: a row for every particle of every cell.

    V are the particles; of a mixture, those with the change and then those without.
    """
    n_particles, n_cells, n_hidden = cells.hidden.shape
    logits = cells.hidden.reshape(-1, n_hidden) @ head.kernel + head.bias[None]
    if cells.change is None:
        return logits
    n, change = cells.change.shape[1], jnp.swapaxes(cells.change, 0, 1)
    change = jnp.tile(change, (-(-n_particles // n), 1, 1))[:n_particles]
    acting = logits + change.reshape(n_particles * n_cells, -1)
    return acting if cells.log_shares is None else jnp.concatenate([acting, logits])


def _log_total(logits: Array) -> Array:
    """Return logsumexp over the last axis in one pass: a maximum, and a sum in its units."""

    def joined(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
        (high, total), (other_high, other_total) = one, other
        top = jnp.maximum(high, other_high)
        return top, total * jnp.exp(high - top) + other_total * jnp.exp(other_high - top)

    start = jnp.asarray(_LOWEST, logits.dtype), jnp.zeros((), logits.dtype)
    high, total = jax.lax.reduce((logits, jnp.ones_like(logits)), start, joined, (1,))
    return high + jnp.log(total)


def _again(total: Array, finite: Array) -> Array:
    """Return `total` as another expression.

    What follows from it is then computed again in each pass. The compiler would otherwise keep what
    passes share, in an array that costs two passes of its own.
    """
    return total + 0 * finite


def _parts(head: HeadArrays, cells: CellArrays, logits: Array, total: Array) -> _Parts:
    x, theta = _numbers(_rows(cells.counts, logits), logits.dtype), head.theta[None]
    shares = jnp.exp(logits - total[:, None])
    mu = shares * _rows(cells.library_size[:, None], logits)
    mean, most = mu + MEAN_FLOOR, theta / RATE_FLOOR
    over_mean = jnp.where(mean <= most, (x - mean) / ((mean + theta) * mean), 0)  # one division
    return _Parts(shares, jnp.minimum(mean, most), over_mean * mean, over_mean * (theta * mu))


def _numbers(counts: Array, dtype: Any) -> Array:
    """Return counts as real numbers, small whole numbers by way of int32.

    The passes then share an array [B, G] of int32. Without that step the compiler would rather keep
    what follows from the counts, [V B, G], than convert them in the pass that adds up cells.
    """
    whole = jnp.issubdtype(counts.dtype, jnp.integer)
    return (jnp.maximum(counts.astype(jnp.int32), 0) if whole else counts).astype(dtype)


def _rows(of_cells: Array, logits: Array) -> Array:
    """Repeat [B, n] for the rows of the logits, [V B, n]."""
    n_cells, n = of_cells.shape
    return jnp.broadcast_to(of_cells[None], (len(logits) // n_cells, n_cells, n)).reshape(-1, n)


def _rates(parts: _Parts, head: HeadArrays, cells: CellArrays) -> Array:
    """Return x log r - (x + theta) log(1 + r) for r = m / theta, [V B, G]."""
    x, theta = _numbers(_rows(cells.counts, parts.mean), parts.mean.dtype), head.theta[None]
    log_r = jnp.log(parts.mean) - jnp.log(theta)
    return x * log_r - (x + theta) * jnp.log1p(parts.mean / theta)


def _sums_over_genes(one: Array, other: Array) -> tuple[Array, Array]:
    """Sum two arrays over the last axis in one pass."""
    zero = jnp.zeros((), one.dtype)

    def added(some: tuple[Array, Array], more: tuple[Array, Array]) -> tuple[Array, Array]:
        return some[0] + more[0], some[1] + more[1]

    return jax.lax.reduce((one, other), (zero, zero), added, (1,))


def _by_kernel_and_bias(hidden: Array, by_logits: Array) -> tuple[Array, Array]:
    """Return the gradients by kernel and bias from one product: the bias has an input of ones."""
    n_hidden = hidden.shape[-1]
    rows = hidden.reshape(-1, n_hidden)
    more = aligned(n_hidden + 1) - n_hidden - 1
    ones = jnp.ones((len(rows), 1), rows.dtype)
    inputs = jnp.concatenate([rows, ones, jnp.zeros((len(rows), more), rows.dtype)], axis=1)
    product = inputs.T @ by_logits
    return product[:n_hidden], product[n_hidden]


def _grouped(rates: Array, head: HeadArrays, cells: CellArrays) -> Array:
    """Add the gamma terms, and sum [V B] over the particles of each group, [B, K].

    Of a mixture every particle is a group, and the result is [B, 2 P].
    """
    x = _numbers(cells.counts, head.theta.dtype)
    value = rates.reshape(-1, len(x)) + log_gammas(x, head.theta[None]).sum(-1)[None]
    if cells.log_shares is None:
        value = value.reshape(cells.weight.shape[1], -1, value.shape[1]).sum(1)
    return value.T


def _gammas_by_theta(weight: Array, counts: Array, theta: Array) -> Array:
    """Return the weighted sum over cells of the gamma terms' derivative, [G].

    Blocks of cells are added up first, elementwise: the compiler would otherwise store the terms of
    all cells, because a logarithm is in them.
    """
    n = math.gcd(len(weight), _BLOCKS)
    blocks = zip(jnp.split(weight, n), jnp.split(counts, n), strict=True)
    return reduce(
        jnp.add,
        [w[:, None] * log_gammas_by_theta(x.astype(theta.dtype), theta[None]) for w, x in blocks],
    ).sum(0)


def _of_variants(weight: Array, cells: CellArrays) -> Array:
    """Repeat the weights of groups, [B, K], for their particles, [V B]."""
    if cells.log_shares is None:
        weight = jnp.repeat(weight, len(cells.hidden) // weight.shape[1], axis=1)
    return weight.T.reshape(-1)
