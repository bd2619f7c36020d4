"""Where a network starts: at the direct effects, and the edges, that a linear one would have.

The posterior of a network has many local optima, in which a chain of edges is replaced by its
shortcut. A start near the solution of the linear problem avoids most of them.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.model.distributions import logits_from_probs
from gpo_vae_jax.statistics.pair_changes import pair_changes, ridge_deconvolution
from gpo_vae_jax.train.state import TrainState
from gpo_vae_jax.types import Dataset

_LARGEST = 2.0  # |effect| at the start
_NOISE = 0.3  # share of the random start that is kept, so that seeds differ
_EVEN = 0.15  # |effect| at which an edge is as likely as not
_STEEP = 40.0  # log-odds of an edge, per |effect| above that
_FROM, _TO = -3.0, 5.0  # log-odds at least and at most: no edge starts out of reach


def starting_effects(dataset: Dataset) -> np.ndarray:
    """Return direct effects by ridge deconvolution of the training cells, [T, T].

    The diagonal is the change of each perturbed gene under its own perturbation; 0 where nothing is
    known.
    """
    change, _ = pair_changes(dataset)
    effects = ridge_deconvolution(change)
    np.fill_diagonal(effects, np.nan_to_num(np.diagonal(change)))
    return np.clip(effects, -_LARGEST, _LARGEST)


def starting_at(state: TrainState, effects: np.ndarray) -> TrainState:
    """Return the initial state moved to `effects`, [T, T].

    The means of effects are `effects` plus a share of their random start, which differs between
    seeds. The log-odds of edges are what they were plus those that `starting_log_odds` gives.
    """
    guide = state.current.params["guide"]
    mean = jnp.asarray(effects, jnp.float32) + _NOISE * guide["embedding_mean"]
    moved = {"embedding_mean": mean}
    log_odds = jnp.asarray(starting_log_odds(effects), jnp.float32)
    if "mask_logits" in guide:
        moved["mask_logits"] = guide["mask_logits"] + log_odds
    else:
        moved["mask_probs"] = jax.nn.sigmoid(logits_from_probs(guide["mask_probs"]) + log_odds)
    params = {**state.current.params, "guide": {**guide, **moved}}
    return state._replace(current=state.current._replace(params=params), best_params=params)


def starting_log_odds(effects: np.ndarray) -> np.ndarray:
    """Return the log-odds of edges with such direct effects, [T, T].

    They are 0 where the deconvolution says nothing: from a source that is not measured, and to a
    target that is not.
    """
    log_odds = np.clip(_STEEP * (np.abs(effects) - _EVEN), _FROM, _TO)
    other = np.where(np.eye(len(effects), dtype=bool), 0, effects) != 0
    return np.where(other.any(axis=1)[:, None] & other.any(axis=0)[None], log_odds, 0)
