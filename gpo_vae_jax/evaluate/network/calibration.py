"""The posterior probability of an edge, calibrated by what the learned effects look like together.

q(M) says how sure a model is of an edge if the model is right. No model is: where a path through
other genes carries a little too much or too little of a change, a weak direct edge makes up for
it, and every cell confirms it. Such edges are small beside the path that they correct, so they can
be told from others by their size (docs/method.md 8.10). Only the parameters of a model are needed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from gpo_vae_jax.evaluate.network.edges import edge_effects, edge_probabilities
from gpo_vae_jax.evaluate.network.recovery import judged_pairs
from gpo_vae_jax.model.cell_effects import propagate
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Params

_LEAST_RATIO = 3.0  # effects of edges are so many times wider than those of absent ones
_STARTS = (0.1, 0.4)  # of the relative error of paths
_CONSTANT = math.log(2 / (math.pi * math.sqrt(3)))  # of Student's t with 3 degrees of freedom


class EffectMixture(NamedTuple):
    """How effects along absent and present edges are distributed."""

    noise: float  # s, the scale where nothing leads from source to target
    path_error: float  # delta, the relative error of every weight of a path
    size: float  # b, the scale of the effects of edges
    share: float  # pi, the share of pairs that are edges


def edge_posterior(params: Params, *, spec: Spec) -> np.ndarray:
    """Return the calibrated probability of every edge, [T, T]; 0 on the diagonal.

    Of latent effects, which have no unit that pairs could be compared in, it is the probability.
    """
    probabilities = np.array(edge_probabilities(params, spec=spec), np.float64)
    sizes = spec.sizes
    if spec.model.effect == "latent":
        np.fill_diagonal(probabilities, 0.0)
        return probabilities
    measured = np.asarray(sizes.network_genes) >= 0 if sizes.network_genes else None
    return calibrated(
        probabilities,
        edge_effects(params, spec=spec),
        judged_pairs(sizes.n_treatments, sizes.n_perturbed, measured=measured),
        steps=spec.model.propagate,
    )


def calibrated(
    probabilities: np.ndarray, effects: np.ndarray, judged: np.ndarray, *, steps: int
) -> np.ndarray:
    """Return the calibrated probability of every edge, [T, T]; 0 on the diagonal.

    Args:
      probabilities: [T, T] of q(M).
      effects: [T, T] mean effects where the edge is there.
      judged: [T, T] bool, the pairs from which the distributions of effects are fitted.
      steps: of propagation.
    """
    effects = np.where(np.eye(len(effects), dtype=bool), 0.0, np.asarray(effects, np.float64))
    paths = path_scale(probabilities * effects, steps)
    mixture = fit_mixture(effects[judged], paths[judged])
    if mixture is None:
        return np.zeros(effects.shape)
    return probabilities * share_of_edges(effects, paths, mixture)


def path_scale(weights: np.ndarray, steps: int) -> np.ndarray:
    """Return the size of the paths of every pair through other genes, [T, T].

    It is the root of the sum over genes u of (change of u by a unit change of the source)^2 times
    (weight of u on the target)^2: times the relative error of a weight, the error of the paths.

    Args:
      weights: [T, T] expected effects along edges; the diagonal does not count.
      steps: of propagation.
    """
    n = len(weights)
    weights = np.where(np.eye(n, dtype=bool), 0.0, weights)
    own, edges = jnp.ones((1, n), jnp.float32), jnp.asarray(weights, jnp.float32)[None]
    reached = propagate(own, edges, jnp.eye(n, dtype=bool), steps)
    change = np.asarray(jax.device_get(reached[0]), np.float64)
    change /= np.diag(change)[:, None]
    np.fill_diagonal(change, 0.0)
    return np.sqrt(np.square(change) @ np.square(weights))


def fit_mixture(effects: np.ndarray, paths: np.ndarray) -> EffectMixture | None:
    """Fit the distributions of effects by maximum likelihood; None where all effects are 0.

    Args:
      effects: [N] of pairs.
      paths: [N] sizes of their paths (`path_scale`).
    """
    largest = float(np.abs(effects).max(initial=0.0))
    if not largest:
        return None
    x = np.abs(effects) / largest
    g = np.asarray(paths, np.float64) / largest
    wide = max(float(np.quantile(x, 0.97)) / 2, 0.01)
    noise = min(max(1.5 * float(np.median(x)), 1e-3), 0.3)
    bounds = [(-9.0, 0.0), (-7.0, 2.5), (-9.0, 2.5), (-9.0, 0.0)]
    found = [
        minimize(
            _loss,
            np.array([np.log(noise), np.log(start), np.log(wide), np.log(0.05 / 0.95)]),
            args=(x, g),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
        )
        for start in _STARTS
    ]
    mixture = _mixture(min(found, key=lambda one: one.fun).x)
    return mixture._replace(noise=mixture.noise * largest, size=mixture.size * largest)


def share_of_edges(effects: np.ndarray, paths: np.ndarray, mixture: EffectMixture) -> np.ndarray:
    """Return the probability that an effect is that of an edge and not an error.

    It rises with |effect| wherever the error's scale is below 3 times that of edges.
    """
    absent, present, _ = _log_densities(np.abs(effects), paths, mixture)
    return np.exp(present - np.logaddexp(absent, present))


def _mixture(parameters: np.ndarray) -> EffectMixture:
    noise, error, more = (float(value) for value in np.exp(parameters[:3]))
    share = 1 / (1 + math.exp(-float(parameters[3])))
    return EffectMixture(noise, error, _LEAST_RATIO * noise + more, share)


def _log_densities(
    x: np.ndarray, paths: np.ndarray, m: EffectMixture
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the log-densities of absent and present edges with their shares, and the variance."""
    squared = np.square(x)
    variance = m.noise**2 + m.path_error**2 * np.square(paths)
    absent = -np.log(variance) / 2 - 2 * np.log1p(squared / (3 * variance))
    with np.errstate(divide="ignore"):
        moment = np.log(squared / (3 * m.size**2))
    present = moment - math.log(m.size) - 2 * np.log1p(squared / (3 * m.size**2))
    return (
        _CONSTANT + math.log1p(-m.share) + absent,
        _CONSTANT + math.log(m.share) + present,
        variance,
    )


def _loss(parameters: np.ndarray, x: np.ndarray, paths: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean negative log-likelihood and its gradient in the parameters of `_mixture`."""
    m = _mixture(parameters)
    absent, present, variance = _log_densities(x, paths, m)
    both, squared = np.logaddexp(absent, present), np.square(x)
    is_edge = np.exp(present - both)
    by_variance = (1 - is_edge) * (
        2 * squared / (variance * (3 * variance + squared)) - 1 / (2 * variance)
    )
    by_size = is_edge * (4 * squared / (3 * m.size**2 + squared) - 3) / m.size
    more = m.size - _LEAST_RATIO * m.noise
    gradient = np.array(
        [
            2 * m.noise**2 * by_variance.mean() + _LEAST_RATIO * m.noise * by_size.mean(),
            2 * m.path_error**2 * (by_variance * np.square(paths)).mean(),
            more * by_size.mean(),
            (is_edge - m.share).mean(),
        ]
    )
    return -float(both.mean()), -gradient
