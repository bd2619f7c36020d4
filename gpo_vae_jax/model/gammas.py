"""Gamma functions of counts: the negative-binomial terms independent of the mean."""

from __future__ import annotations

import jax.numpy as jnp

from gpo_vae_jax.types import Array

_HALF_LOG_2_PI = 0.9189385332046727


def log_gammas(x: Array, theta: Array) -> Array:
    """Return log Gamma(x + theta) - log Gamma(theta) - log Gamma(x + 1); exactly 0 for x = 0."""
    return jnp.where(x == 0, 0, log_gamma(x + theta) - log_gamma(theta) - log_gamma(x + 1))


def log_gammas_by_theta(x: Array, theta: Array) -> Array:
    """Return the derivative of `log_gammas` with respect to theta."""
    return jnp.where(x == 0, 0, digamma(x + theta) - digamma(theta))


def log_gamma(y: Array) -> Array:
    """Return log Gamma(y) for y > 0 by Stirling's series, taken at y + 8 where y < 8."""
    product, _, z = _shifted(y)
    i = 1 / z
    series = i * (1 / 12 - i * i * (1 / 360 - i * i / 1260))
    return (z - 0.5) * jnp.log(z) - z + _HALF_LOG_2_PI + series - jnp.log(product)


def digamma(y: Array) -> Array:
    """Return the derivative of log Gamma(y) for y > 0, in the same way."""
    _, slope, z = _shifted(y)
    i = 1 / z
    i2 = i * i
    return jnp.log(z) - i / 2 - i2 * (1 / 12 - i2 * (1 / 120 - i2 / 252)) - slope


def _shifted(y: Array) -> tuple[Array, Array, Array]:
    """Return y (y+1) ... (y+7), the slope of its logarithm, and y + 8; 1, 0 and y from y = 8 on."""
    small = y < 8
    near = jnp.where(small, y, 1)
    u = near * (near + 7)  # (y+1)(y+6) = u + 6, (y+2)(y+5) = u + 10, (y+3)(y+4) = u + 12
    a, b = u * (u + 6), (u + 10) * (u + 12)
    slope = (2 * near + 7) * ((2 * u + 6) / a + (2 * u + 22) / b)
    return jnp.where(small, a * b, 1), jnp.where(small, slope, 0), jnp.where(small, y + 8, y)
