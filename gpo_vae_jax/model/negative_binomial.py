"""The negative binomial head: the log-likelihood of counts, with a gradient of its own.

Mathematics: docs/method.md 2. With r = (mu + 1e-4) / theta, the inverse of the rate,

    log p(x) = gammas(x, theta) + x log r - (x + theta) log(1 + r),

and its gradients are written out here. On a CPU cells go through in chunks that stay in the cache:
of the P x B x G block only the logits are written down.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gpo_vae_jax.model.distributions import RATE_FLOOR
from gpo_vae_jax.types import Array

MEAN_FLOOR = 1e-4
_CHUNK_BYTES = 12 << 20  # of one P x cells x G block on a CPU: what its cache holds
_HALF_LOG_2_PI = 0.9189385332046727


class _Cells(NamedTuple):
    """Hold what the head needs of some cells; they come first here, so that chunks are views."""

    logits: Array  # [b, P, G]
    counts: Array  # [b, G]
    library_size: Array  # [b]


class _Sums(NamedTuple):
    """Hold what the backward pass needs of all genes of a cell."""

    log_total: Array  # [b, P] log-sum-exp of the logits
    slope: Array  # [b, P] sum over genes of mu times the derivative by mu


@jax.custom_vjp
def log_likelihood(
    hidden: Array,
    kernel: Array,
    bias: Array,
    log_concentration: Array,
    counts: Array,
    library_size: Array,
) -> Array:
    """Give log p(x | z) summed over genes, [P, B].

    Args:
      hidden: [P, B, H] the decoder's last hidden layer.
      kernel: [H, G] and `bias`: [G], of the logits.
      log_concentration: [G].
      counts: [B, G] of any type; no gradient.
      library_size: [B]; no gradient.
    """
    return _forward(hidden, kernel, bias, log_concentration, counts, library_size)[0]


def _forward(hidden, kernel, bias, log_concentration, counts, library_size):
    theta, hidden = jnp.exp(log_concentration), jnp.swapaxes(hidden, 0, 1)
    logits = (_rows(hidden) @ kernel + bias[None]).reshape(*hidden.shape[:2], -1)
    cells = _Cells(logits, counts, library_size)
    _, (value, sums) = _by_chunks(partial(_value, theta), None, cells)
    return value.T, (hidden, kernel, theta, cells, sums)


def _backward(kept, cotangent):
    hidden, kernel, theta, cells, sums = kept
    zeros = (jnp.zeros_like(kernel), jnp.zeros_like(theta), jnp.zeros_like(theta))
    (d_kernel, d_bias, d_theta), d_hidden = _by_chunks(
        partial(_gradients, kernel, theta), zeros, (cells, sums, hidden, cotangent.T)
    )
    return jnp.swapaxes(d_hidden, 0, 1), d_kernel, d_bias, d_theta * theta, None, None


log_likelihood.defvjp(_forward, _backward)


def _value(theta: Array, cells: _Cells) -> tuple[None, tuple[Array, _Sums]]:
    shift = cells.logits.max(-1)
    exponential = jnp.exp(cells.logits - shift[..., None])
    total = exponential.sum(-1)
    x, theta = cells.counts.astype(theta.dtype)[:, None], theta[None, None]
    mu = exponential * (cells.library_size[:, None] / total)[..., None]
    inverse_rate = _inverse_rate(mu + MEAN_FLOOR, theta)
    rates = x * jnp.log(inverse_rate) - (x + theta) * jnp.log1p(inverse_rate)
    value = rates.sum(-1) + _gammas(x, theta).sum(-1)
    return None, (value, _Sums(shift + jnp.log(total), _by_mu(x, mu, theta)[0].sum(-1)))


def _gradients(
    kernel: Array, theta: Array, given: tuple[_Cells, _Sums, Array, Array]
) -> tuple[tuple[Array, Array, Array], Array]:
    """Give the gradients by kernel, bias and theta of some cells, and that by their hidden."""
    cells, sums, hidden, cotangent = given
    x, wide, weight = (
        cells.counts.astype(theta.dtype)[:, None],
        theta[None, None],
        cotangent[..., None],
    )
    share = jnp.exp(cells.logits - sums.log_total[..., None])
    mu = share * cells.library_size[:, None, None]
    by_mu, fall = _by_mu(x, mu, wide)
    by_logits = _rows((by_mu - share * sums.slope[..., None]) * weight)
    by_theta = (-weight * (fall + jnp.log1p(_inverse_rate(mu + MEAN_FLOOR, wide)))).sum((0, 1))
    by_theta += (cotangent.sum(1)[:, None] * _gammas_by_theta(x[:, 0], theta[None])).sum(0)
    d_hidden = (by_logits @ kernel.T).reshape(hidden.shape)
    return (_rows(hidden).T @ by_logits, by_logits.sum(0), by_theta), d_hidden


def _by_mu(x: Array, mu: Array, theta: Array) -> tuple[Array, Array]:
    """Give mu times the derivative by mu, and (x - mean) / (mean + theta)."""
    mean = mu + MEAN_FLOOR
    inside = mean <= theta / RATE_FLOOR  # a rate at its floor does not move
    fall = jnp.where(inside, (x - mean) / (mean + theta), 0)
    return mu * fall * theta / mean, fall


def _inverse_rate(mean: Array, theta: Array) -> Array:
    return jnp.minimum(mean / theta, 1 / RATE_FLOOR)


def _gammas(x: Array, theta: Array) -> Array:
    """Give log Gamma(x + theta) - log Gamma(theta) - log Gamma(x + 1); exactly 0 for x = 0."""
    return jnp.where(x == 0, 0, _log_gamma(x + theta) - _log_gamma(theta) - _log_gamma(x + 1))


def _gammas_by_theta(x: Array, theta: Array) -> Array:
    return jnp.where(x == 0, 0, _digamma(x + theta) - _digamma(theta))


def _log_gamma(y: Array) -> Array:
    """Give log Gamma(y), y > 0: Stirling's series, from y + 8 where y is below 8."""
    product, _, z = _shifted(y)
    i = 1 / z
    series = i * (1 / 12 - i * i * (1 / 360 - i * i / 1260))
    return (z - 0.5) * jnp.log(z) - z + _HALF_LOG_2_PI + series - jnp.log(product)


def _digamma(y: Array) -> Array:
    """Give the derivative of log Gamma(y), y > 0, likewise."""
    _, slope, z = _shifted(y)
    i = 1 / z
    i2 = i * i
    return jnp.log(z) - i / 2 - i2 * (1 / 12 - i2 * (1 / 120 - i2 / 252)) - slope


def _shifted(y: Array) -> tuple[Array, Array, Array]:
    """Give y (y+1) ... (y+7), the slope of its logarithm, and y + 8; from 8 on 1, 0 and y."""
    small = y < 8
    near = jnp.where(small, y, 1)
    u = near * (near + 7)  # (y+1)(y+6) = u + 6, (y+2)(y+5) = u + 10, (y+3)(y+4) = u + 12
    a, b = u * (u + 6), (u + 10) * (u + 12)
    slope = (2 * near + 7) * ((2 * u + 6) / a + (2 * u + 22) / b)
    return jnp.where(small, a * b, 1), jnp.where(small, slope, 0), jnp.where(small, y + 8, y)


def _by_chunks(function: Callable, zeros, cells):
    """Give the sum of `function`'s first result over chunks of cells, and its second for all.

    Args:
      zeros: where the sum starts.
      cells: arrays with the cells on the first axis.
    """
    logits = jax.tree.leaves(cells)[0]
    n_chunks = _n_chunks(logits.shape[0], logits.nbytes)
    if n_chunks == 1:
        return function(cells)

    def body(total, chunk):
        terms, of_cells = function(chunk)
        return jax.tree.map(jnp.add, total, terms), of_cells

    chunks = jax.tree.map(lambda a: a.reshape(n_chunks, -1, *a.shape[1:]), cells)
    total, found = jax.lax.scan(body, zeros, chunks)
    return total, jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found)


def _n_chunks(n_cells: int, n_bytes: int) -> int:
    """Give the number of chunks, a divisor of the number of cells; 1 except on a CPU."""
    if jax.default_backend() != "cpu":
        return 1
    wanted = -(-n_bytes // _CHUNK_BYTES)
    found = next((n for n in range(wanted, n_cells + 1) if n_cells % n == 0), 1)
    return found if found <= 4 * wanted else 1  # a prime number of cells is not taken one by one


def _rows(a: Array) -> Array:
    return a.reshape(-1, a.shape[-1])
