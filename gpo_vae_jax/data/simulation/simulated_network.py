"""Draw a gene regulatory network, and compute how knock-downs travel through it."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from gpo_vae_jax.config import SimulateConfig
from gpo_vae_jax.errors import ConfigError

_LARGEST_CHANGE = 2.5  # of log expression, so that long chains of edges stay finite
_GENERATORS = {"cycles": 1, "hidden": 2, "escape": 3, "batches": 4}  # [seed, 0] would be [seed]
_LARGEST_RADIUS = 0.95  # spectral radius of |weights|
_LARGEST_GAIN = 0.9  # of all loops through a new edge, with every weight over the radius
_WEAKEST = 0.5  # of the drawn weight of an edge that closes a loop
_ROUNDS = 20_000
_TOLERANCE = 1e-10


class Network(NamedTuple):
    """A network of measured genes, followed by hidden ones."""

    weights: np.ndarray  # [n + hidden, n + hidden], signed, [source, target]
    closing: np.ndarray  # the same shape, bool: edges that were added to close loops
    n_measured: int  # n


def generator_of(
    config: SimulateConfig, purpose: Literal["cycles", "hidden", "escape", "batches"]
) -> np.random.Generator:
    """Return the generator of what a setting adds, which leaves all other draws as they are."""
    return np.random.default_rng([config.seed, _GENERATORS[purpose]])


def draw_network(rng: np.random.Generator, config: SimulateConfig) -> Network:
    """Draw the network: perturbed genes, then extended ones, then hidden ones.

    Edges among measured genes are those of `random_network` whatever `n_hidden` is. Hidden genes
    have places in the same order, and edges with all genes at the same density.

    Raises:
      ConfigError: `cycles` asks for loops, and no loop is weak enough at this `effect`.
    """
    n = config.n_perturbed + config.n_extended
    share = _density(n, config.edges_per_gene)
    place = rng.permutation(n)
    weights = _forward_edges(rng, place, share, config.effect)
    if config.n_hidden:
        own = generator_of(config, "hidden")
        place = np.concatenate([place, own.uniform(-0.5, n - 0.5, config.n_hidden)])
        measured, weights = weights, _forward_edges(own, place, share, config.effect)
        weights[:n, :n] = measured
    closed = _with_loops(generator_of(config, "cycles"), weights, config)
    return Network(closed, closed != weights, n)


def random_network(
    rng: np.random.Generator, n_genes: int, edges_per_gene: float, effect: float
) -> np.ndarray:
    """Draw a sparse signed acyclic network, [source, target], |weight| within 20 % of `effect`."""
    return _forward_edges(rng, rng.permutation(n_genes), _density(n_genes, edges_per_gene), effect)


def propagate(
    weights: np.ndarray,
    knocked_down: tuple[int, ...],
    log_change: float,
    saturation: float = 0.0,
) -> np.ndarray:
    """Return the change of log expression of all n network genes under knock-downs, [n].

    Knocked-down genes keep `log_change` whatever regulates them. The change of every other gene is
    the sum over its regulators, x, as saturation * tanh(x / saturation) unless that is 0, limited
    to 2.5. Rounds of this rule are repeated until they change nothing. That takes at most n rounds
    in an acyclic network. With cycles the rule has one fixed point, which the rounds reach, if the
    spectral radius of |weights| is below 1: neither tanh nor the limit makes a difference larger.

    Raises:
      ValueError: the rounds do not settle.
    """
    held = np.zeros(len(weights), bool)
    held[list(knocked_down)] = True
    change = np.where(held, log_change, 0.0)
    for done in range(_ROUNDS):
        sums = change @ weights
        if saturation:
            sums = saturation * np.tanh(sums / saturation)
        sums = np.clip(sums, -_LARGEST_CHANGE, _LARGEST_CHANGE)
        updated = np.where(held, log_change, sums)
        moved = np.abs(updated - change).max()
        if moved <= (0 if done < len(weights) else _TOLERANCE):
            return change
        change = updated
    raise ValueError(f"changes do not settle within {_ROUNDS:,} rounds: the loops are too strong")


def truth_of(network: Network) -> dict[str, np.ndarray]:
    """Return the truth among measured genes: `weights`, and where there are any, two more.

    `closing` are the edges that close loops. `through_hidden` is the summed weight of all paths
    from one measured gene to another through hidden genes alone; it is no part of `weights`.
    """
    n, weights = network.n_measured, network.weights
    found = {"weights": weights[:n, :n].astype(np.float32)}
    if network.closing.any():
        found["closing"] = network.closing[:n, :n]
    if len(weights) > n:
        between = np.linalg.inv(np.eye(len(weights) - n) - weights[n:, n:])
        through = weights[:n, n:] @ between @ weights[n:, :n]
        found["through_hidden"] = through.astype(np.float32)
    return found


def _density(n_genes: int, edges_per_gene: float) -> float:
    """Return the share of the ordered pairs that are edges."""
    possible = n_genes * (n_genes - 1) / 2
    return min(1.0, edges_per_gene * n_genes / possible) if possible else 0.0


def _forward_edges(
    rng: np.random.Generator, place: np.ndarray, share: float, effect: float
) -> np.ndarray:
    """Draw edges that go forward in a hidden order, given by each gene's place, [n, n]."""
    shape = (len(place), len(place))
    edge = (rng.random(shape) < share) & (place[:, None] < place[None, :])
    sign = np.where(rng.random(shape) < 0.5, -1.0, 1.0)
    return edge * sign * effect * rng.uniform(0.8, 1.2, shape)


def _with_loops(
    rng: np.random.Generator, weights: np.ndarray, config: SimulateConfig
) -> np.ndarray:
    """Add edges that each close a loop, `cycles` times the number of edges, or all that fit.

    An edge goes from a gene to one of those upstream of it. The spectral radius of |weights| stays
    below 0.95, so that changes have a fixed point: an edge that would gain more is weakened to as
    little as half the weight drawn for it, or left out.
    """
    missing = math.ceil(config.cycles * np.count_nonzero(weights))
    if not missing:
        return weights
    closed = weights.copy()
    walks = _walks(np.abs(weights) / _LARGEST_RADIUS)
    targets, sources = np.nonzero(walks - np.eye(len(walks)))  # a walk from one to the other
    for i in rng.permutation(len(sources)):
        source, target = sources[i], targets[i]
        drawn = abs(config.effect) * rng.uniform(0.8, 1.2)
        sign = rng.choice([-1.0, 1.0])
        weight = min(drawn, _LARGEST_GAIN * _LARGEST_RADIUS / walks[target, source])
        if weight < _WEAKEST * drawn:
            continue
        closed[source, target] = sign * weight
        missing -= 1
        if not missing:
            break
        # Every term is positive, so that sums over walks stay exact to rounding (Sherman-Morrison).
        added = weight / _LARGEST_RADIUS
        gain = added * walks[target, source]
        walks = walks + np.outer(walks[:, source], walks[target]) * (added / (1 - gain))
    if np.array_equal(closed, weights):
        raise ConfigError(
            f"config.simulate.cycles={config.cycles} adds no loop: all would gain too much with "
            f"config.simulate.effect={config.effect}; lower the effect"
        )
    return closed


def _walks(weights: np.ndarray) -> np.ndarray:
    """Return the summed weight of all walks between genes of an acyclic network, [n, n].

    (I - W)^-1 as (I + W)(I + W^2)(I + W^4)..., where what is 0 stays 0.
    """
    walks, power = np.eye(len(weights)) + weights, weights
    while power.any():
        power = power @ power
        walks = walks + walks @ power
    return walks
