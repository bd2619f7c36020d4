"""The log-densities of docs/method.md, unreduced: the caller sums."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from gpo_vae_jax.model.blocks import over_last
from gpo_vae_jax.types import Array, Posterior

VARIANCE_FLOOR = 1e-4
RATE_FLOOR = 1e-6
_LOG_2_PI = math.log(2 * math.pi)


def clamp(x: Array, low: float | None = None, high: float | None = None) -> Array:
    """Limit x to [low, high]; the gradient is 1 inside and on the limits, 0 outside."""
    inside = jnp.ones(x.shape, bool)
    if low is not None:
        inside &= x >= low
    if high is not None:
        inside &= x <= high
    return jnp.where(inside, x, jnp.clip(jax.lax.stop_gradient(x), low, high))


def logits_from_probs(probs: Array) -> Array:
    """Return the logits of probabilities, which are kept one machine epsilon from 0 and 1."""
    eps = float(jnp.finfo(jnp.float32).eps)
    probs = clamp(probs, eps, 1 - eps)
    return jnp.log(probs) - jnp.log1p(-probs)


def bernoulli_log_prob(x: Array, logits: Array | float) -> Array:
    """Return log Bernoulli(x | logits); x may carry a straight-through gradient."""
    return x * logits - jax.nn.softplus(logits)


def relaxed_bernoulli(logits: Array, logistic: Array, temperature: float) -> Array:
    """Sample a Bernoulli with the gradient of its relaxation (docs/method.md 3).

    Args:
      logits: log-odds, broadcast against `logistic`.
      logistic: standard logistic noise, in the shape of the result.
      temperature: of the relaxation.

    Returns:
      Exactly 0 or 1.
    """
    return _straight_through(jnp.broadcast_to(logits, logistic.shape), logistic, temperature)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _straight_through(logits: Array, logistic: Array, temperature: float) -> Array:
    return (logits + logistic > 0).astype(logits.dtype)  # where the relaxation is above 1/2


def _straight_through_forward(logits: Array, logistic: Array, temperature: float):
    return _straight_through(logits, logistic, temperature), (logits, logistic)


def _straight_through_backward(temperature: float, kept, cotangent: Array):
    logits, logistic = kept
    soft = jax.nn.sigmoid((logits + logistic) / temperature)
    gradient = cotangent * soft * (1 - soft) / temperature
    return gradient, gradient


_straight_through.defvjp(_straight_through_forward, _straight_through_backward)


def gaussian_sample(posterior: Posterior, noise: Array) -> Array:
    """Sample by reparametrisation."""
    return posterior.mean + jnp.sqrt(posterior.variance) * noise


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def gaussian_sampled(posterior: Posterior, noise: Array, n_scored: int) -> tuple[Array, Array]:
    """Return samples, and the log-densities of the first `n_scored`, summed over the last axis.

    The gradient is written out: it takes two passes over the variance instead of four.
    """
    scored = Posterior(*(values[:n_scored] for values in posterior))
    log_prob = over_last(gaussian_sample_log_prob(scored, noise[:n_scored]))
    return gaussian_sample(posterior, noise), log_prob


def _sampled_forward(posterior: Posterior, noise: Array, n_scored: int):
    return gaussian_sampled(posterior, noise, n_scored), (posterior.variance, noise)


def _sampled_backward(n_scored: int, kept, cotangents) -> tuple[Posterior, Array]:
    (variance, noise), (by_sample, by_log_prob) = kept, cotangents
    root = jax.lax.rsqrt(variance)
    others = [(0, len(noise) - n_scored)] + [(0, 0)] * (by_log_prob.ndim - 1)
    by_log_prob = jnp.pad(by_log_prob, others)[..., None]
    by_variance = 0.5 * root * (by_sample * noise - by_log_prob * root)
    return Posterior(by_sample, by_variance), by_sample * variance * root - by_log_prob * noise


gaussian_sampled.defvjp(_sampled_forward, _sampled_backward)


def gaussian_log_prob(x: Array, mean: Array | float, variance: Array | float) -> Array:
    """Return log N(x | mean, variance)."""
    return -0.5 * (jnp.square(x - mean) / variance + jnp.log(variance) + _LOG_2_PI)


def gaussian_sample_log_prob(posterior: Posterior, noise: Array) -> Array:
    """Return log N of the sample that `noise` makes, without computing the sample.

    (sample - mean)^2 / variance is noise^2: exact, and without gradients that cancel.
    """
    return -0.5 * (jnp.square(noise) + jnp.log(posterior.variance) + _LOG_2_PI)


def negative_binomial_gammas(x: Array, concentration: Array) -> Array:
    """Return the negative-binomial terms independent of the mean, [B, G] (docs/method.md 2)."""
    return gammaln(x + concentration) - gammaln(concentration) - gammaln(x + 1)


def negative_binomial_rate_terms(x: Array, rate: Array, concentration: Array) -> Array:
    """Return the negative-binomial terms that depend on the mean, for rates [P, B, G]."""
    return concentration * jnp.log(rate) - (x + concentration) * jnp.log1p(rate)


def poisson_log_prob(x: Array, rate: Array) -> Array:
    """Return the log-probability of counts [B, G] under rates [..., B, G]."""
    return x * jnp.log(rate) - rate - gammaln(x + 1)


def gaussian_divergence(p: Posterior, q: Posterior, exact: bool) -> Array:
    """Return KL(p || q) elementwise (docs/method.md 5.4).

    Unless `exact`, the squared distance of the means is not divided by the variance.
    """
    distance = jnp.square(p.mean - q.mean)
    if exact:
        distance = distance / q.variance
    log_ratio = jnp.log(q.variance) - jnp.log(p.variance)
    return 0.5 * (log_ratio + p.variance / q.variance + distance - 1)
