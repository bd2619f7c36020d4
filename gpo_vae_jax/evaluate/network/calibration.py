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
from scipy.special import logsumexp

from gpo_vae_jax.evaluate.network.edge_calls import EdgeCalls, call_edges
from gpo_vae_jax.evaluate.network.edges import edge_effects, edge_probabilities
from gpo_vae_jax.evaluate.network.recovery import judged_pairs
from gpo_vae_jax.model.cell_effects import propagate
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Params

_LEAST_RATIO = 3.0  # effects of edges are so many times wider than those of absent ones
_STARTS = (0.1, 0.4)  # of the relative error of paths
_LARGEST, _OTHERS = 20_000, 20_000  # pairs that distributions are fitted to, of large networks

_ENDS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0)


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
    if spec.model.effect == "latent":
        np.fill_diagonal(probabilities, 0.0)
        return probabilities
    return calibrated(
        probabilities,
        edge_effects(params, spec=spec),
        pairs_to_call(spec),
        steps=spec.model.propagate,
    )


def calls_of(params: Params, fdr: float, *, spec: Spec) -> EdgeCalls:
    """Call the edges of perturbed genes at an expected false discovery rate."""
    return call_edges(edge_posterior(params, spec=spec), pairs_to_call(spec), fdr)


def pairs_to_call(spec: Spec) -> np.ndarray:
    """Return the pairs that the data can judge, [T, T] bool: perturbed source, measured target."""
    sizes = spec.sizes
    measured = np.asarray(sizes.network_genes) >= 0 if sizes.network_genes else None
    return judged_pairs(sizes.n_treatments, sizes.n_perturbed, measured=measured)


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
    x, g, weight = _thinned(np.abs(effects) / largest, np.asarray(paths, np.float64) / largest)
    wide = max(float(np.quantile(np.abs(effects), 0.97)) / largest / 2, 0.01)
    noise = min(max(1.5 * float(np.median(np.abs(effects))) / largest, 1e-3), 0.3)
    bounds = [(-9.0, 0.0), (-7.0, 2.5), (-9.0, 2.5), (-12.0, 0.0)]
    found = [
        minimize(
            _loss,
            np.array([np.log(noise), np.log(start), np.log(wide), np.log(0.05 / 0.95)]),
            args=(x, g, weight),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
        )
        for start in _STARTS
    ]
    mixture = _mixture(min(found, key=lambda one: one.fun).x)
    return mixture._replace(noise=mixture.noise * largest, size=mixture.size * largest)


def share_of_edges(effects: np.ndarray, paths: np.ndarray, mixture: EffectMixture) -> np.ndarray:
    """Return the probability that an effect is that of an edge and not an error, [...].

    It rises with |effect| unless the error of the paths is larger than effects of edges are.
    """
    x = np.abs(np.asarray(effects, np.float64)).reshape(-1)
    g, share = np.asarray(paths, np.float64).reshape(-1), np.empty(x.size)
    for start in range(0, x.size, _OTHERS):
        at = slice(start, start + _OTHERS)
        absent, _ = _absent(x[at], g[at], mixture)
        present = _present(x[at], mixture)
        share[at] = np.exp(present - np.logaddexp(absent, present))
    return share.reshape(np.shape(effects))


def _thinned(x: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the largest effects, an even sample of the others, their paths and their weights."""
    order = np.lexsort((g, -x))
    largest, others = order[:_LARGEST], order[_LARGEST:]
    step = -(-len(others) // _OTHERS) or 1
    sample = others[step // 2 :: step]
    chosen = np.concatenate([largest, sample])
    weight = np.ones(len(chosen))
    if len(sample):
        weight[len(largest) :] = len(others) / len(sample)
    return x[chosen], g[chosen], weight / weight.sum()


def _mixture(parameters: np.ndarray) -> EffectMixture:
    noise, error, more = (float(value) for value in np.exp(parameters[:3]))
    share = 1 / (1 + math.exp(-float(parameters[3])))
    return EffectMixture(noise, error, _LEAST_RATIO * noise + more, share)


def _variances() -> tuple[np.ndarray, np.ndarray]:
    """Return variances and weights of normal distributions whose sum is a Student's t, [K] each.

    A t with 2 degrees of freedom is a normal distribution of random variance w, which is above
    -1 / log(1 - u) with probability u. It is summed over intervals of u.
    """
    ends = np.array(_ENDS)
    return -1 / np.log1p(-(ends[:-1] + ends[1:]) / 2), ends[:-1] - ends[1:]


def _absent(x: np.ndarray, g: np.ndarray, m: EffectMixture) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-density of absent edges with their share, [N], and its terms, [N, K]."""
    variances, weights = _variances()
    variance = m.noise**2 + m.path_error**2 * np.square(g)[:, None] * variances[None]
    terms = np.log(weights)[None] - (np.log(variance) + np.square(x)[:, None] / variance) / 2
    density = logsumexp(terms, axis=1)
    constant = -math.log(2 * math.pi) / 2
    return density + constant + math.log1p(-m.share), terms - density[:, None]


def _present(x: np.ndarray, m: EffectMixture) -> np.ndarray:
    """Return the log-density of edges with their share, [N]."""
    relative = np.square(x / m.size) / 3
    with np.errstate(divide="ignore"):
        density = np.log(relative) - 2 * np.log1p(relative) - math.log(m.size)
    constant = math.log(2 / (math.pi * math.sqrt(3)))  # of a t with 3 degrees of freedom
    return density + constant + math.log(m.share)


def _loss(
    parameters: np.ndarray, x: np.ndarray, g: np.ndarray, weight: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the mean negative log-likelihood and its gradient in the parameters of `_mixture`."""
    m = _mixture(parameters)
    (absent, terms), present = _absent(x, g, m), _present(x, m)
    both, squared = np.logaddexp(absent, present), np.square(x)
    is_edge = np.exp(present - both)
    of_paths = m.path_error**2 * np.square(g)[:, None] * _variances()[0][None]
    variance = m.noise**2 + of_paths
    by_variance = np.exp(terms) * (squared[:, None] / variance - 1) / (2 * variance)
    absence, presence = weight * (1 - is_edge), weight * is_edge
    by_size = presence @ (4 * squared / (3 * m.size**2 + squared) - 3) / m.size
    gradient = np.array(
        [
            2 * m.noise**2 * (absence @ by_variance.sum(axis=1)) + _LEAST_RATIO * m.noise * by_size,
            2 * (absence @ (by_variance * of_paths).sum(axis=1)),
            (m.size - _LEAST_RATIO * m.noise) * by_size,
            presence.sum() - m.share,
        ]
    )
    return -float(weight @ both), -gradient
