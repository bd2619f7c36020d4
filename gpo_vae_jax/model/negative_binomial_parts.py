"""What both forms of the negative binomial head share (see negative_binomial.py)."""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gpo_vae_jax.types import Array

MEAN_FLOOR = 1e-4
IDLE_BIAS, IDLE_LOG_CONCENTRATION = -1e4, -69.0  # of a gene with a share of 0 and a mean of 1e-22


class HeadArrays(NamedTuple):
    """The parameters of the head."""

    kernel: Array  # [H, G]
    bias: Array  # [G]
    theta: Array  # [G]


class CellArrays(NamedTuple):
    """Some cells, on the first axis of all arrays but `hidden`: chunks are views."""

    hidden: Array  # [P, b, H]; of a chunk [H, b P], a column for each particle of each cell
    counts: Array  # [b, G]
    library_size: Array  # [b]
    weight: Array  # [b, K] of the particles of each of K groups, in the gradient
    change: Array | None  # [b, n, G] added to the logits; of n samples, taken in turn
    log_shares: Array | None  # [b, 2] log-probabilities that the change acts, and that it does not


def mixed(value: Array, cells: CellArrays) -> tuple[Array, Array, Array | None]:
    """Return values of the mixture, and the gradients of their weighted sum.

    Args:
      value: [b, K], or [b, 2 P] of both hypotheses.
      cells: whose `log_shares` make it a mixture.

    Returns:
      The values, [b, K]; the gradients by `value`, and by `log_shares` or None.
    """
    if cells.log_shares is None:
        return value, cells.weight, None
    joint = jnp.stack(jnp.split(value, 2, axis=1), axis=1) + cells.log_shares[..., None]
    mixture = jax.nn.logsumexp(joint, axis=1)  # [b, P]
    weight = jnp.exp(joint - mixture[:, None]) * cells.weight[:, None]  # [b, 2, P]
    return mixture, weight.reshape(value.shape), weight.sum(-1)


def by_sample(each: Array, n: int) -> Array:
    """Add up the gradients of the particles, [b, P, G], that took each of n samples in turn."""
    in_turn = range(each.shape[1])
    return jnp.stack([reduce(jnp.add, [each[:, p] for p in in_turn[i::n]]) for i in range(n)], 1)
