"""Where a table of effects starts: at the direct effects that a linear network would have.

The posterior of a network has many local optima, in which a chain of edges is replaced by its
shortcut. A start near the solution of the linear problem avoids most of them.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.statistics.pair_changes import pair_changes, ridge_deconvolution
from gpo_vae_jax.train.state import TrainState
from gpo_vae_jax.types import Dataset

_LARGEST = 2.0  # |effect| at the start
_NOISE = 0.3  # share of the random start that is kept, so that seeds differ


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
    """Return the initial state with the means of its effects moved to `effects`, [T, T]."""
    guide = state.current.params["guide"]
    mean = jnp.asarray(effects, jnp.float32) + _NOISE * guide["embedding_mean"]
    params = {**state.current.params, "guide": {**guide, "embedding_mean": mean}}
    return state._replace(current=state.current._replace(params=params), best_params=params)
