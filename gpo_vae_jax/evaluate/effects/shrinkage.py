"""The training mean shrunk towards 0 by a two-component prior, a baseline that is hard to beat.

An observed mean effect y of standard error s is a true effect plus noise, y ~ N(theta, s^2). True
effects are small or large: theta ~ (1 - w) N(0, a^2) + w N(0, b^2). The three numbers are fitted
to all (perturbation, gene) pairs by expectation maximisation, and each y is replaced by its
posterior mean.
"""

from __future__ import annotations

import numpy as np

_ITERATIONS = 200
_TOLERANCE = 1e-6


def shrunk(effects: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return the posterior mean of every effect, [C, G]; nan where effect or error is.

    Args:
      effects: [C, G] observed mean effects.
      errors: [C, G] their standard errors.
    """
    known = np.isfinite(effects) & np.isfinite(errors) & (errors > 0)
    y, noise = effects[known], np.square(errors[known])
    result = np.where(np.isfinite(errors), effects, np.nan)
    if y.size < 2:
        return result
    signal = max(float(np.mean(np.square(y) - noise)), 1e-12)
    variance, weight = np.array([0.1 * signal, 10 * signal]), np.array([0.9, 0.1])
    for _ in range(_ITERATIONS):
        share = _responsibilities(y, noise, variance, weight)
        keep = variance / (variance + noise[:, None])  # [n, 2] share of y that is signal
        second = np.square(keep * y[:, None]) + keep * noise[:, None]  # E[theta^2]
        new_variance = (share * second).sum(0) / np.maximum(share.sum(0), 1e-12)
        new_weight = share.mean(0)
        moved = (
            np.abs(new_weight - weight).max()
            + np.abs(np.log(np.maximum(new_variance, 1e-300) / np.maximum(variance, 1e-300))).max()
        )
        variance, weight = np.maximum(new_variance, 1e-12), new_weight
        if moved < _TOLERANCE:
            break
    share = _responsibilities(y, noise, variance, weight)
    result[known] = (share * variance / (variance + noise[:, None])).sum(1) * y
    return result


def _responsibilities(
    y: np.ndarray, noise: np.ndarray, variance: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Return the probability of each component, [n, 2]."""
    total = variance + noise[:, None]
    log = np.log(np.maximum(weight, 1e-300)) - 0.5 * (np.log(total) + np.square(y)[:, None] / total)
    share = np.exp(log - log.max(1, keepdims=True))
    return share / share.sum(1, keepdims=True)
