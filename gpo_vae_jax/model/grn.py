"""The effect of the network along paths (docs/method.md 5.5), from the values of the mask.

Row t of the power series S holds how strongly a perturbation of t reaches every gene over paths
of up to hop + 1 edges.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate

import jax
import jax.numpy as jnp
from jaxtyping import Float

from gpo_vae_jax.model.blocks import aligned
from gpo_vae_jax.model.cells import dosage_sum, rows_of
from gpo_vae_jax.types import Array, Batch


def alignment_gap(
    values: Float[Array, "T T"],
    batch: Batch,
    kind: str,
    *,
    hop: int,
    fc_criteria: float | Array,
    n_perturbed: int,
    start: Float[Array, "R T"] | None = None,
) -> Float[Array, "B T"]:
    """Return |D S - target|, [B, T].

    Args:
      values: [T, T] logits or probabilities of the edges.
      batch: B cells.
      kind: "logits" or "probs": what `values` are.
      hop: paths have up to hop + 1 edges.
      fc_criteria: change of expression above which a gene has responded.
      n_perturbed: R.
      start: the rows of `values` that the batch uses, if they are at hand.
    """
    if kind == "logits":
        rows = rows_of(values, batch, n_perturbed) if start is None else start
        return jnp.abs(_reach_of_cells(values, rows, batch, hop) - batch.delta + fc_criteria)
    reach = rows_of(scaled_reach(values, hop), batch, n_perturbed)
    return jnp.abs(dosage_sum(reach, batch) - jax.nn.sigmoid(batch.delta - fc_criteria))


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def reach(
    start: Float[Array, "n T"], network: Float[Array, "T T"], hop: int, shrink: int | float
) -> Float[Array, "n T"]:
    """Return sum over k = 0..hop of start @ (network / shrink)^k, row by row.

    The gradient with respect to the network is one product over all path lengths at once.

    Args:
      start: [n, T] rows to propagate.
      network: [T, T].
      hop: number of products.
      shrink: divides every product.
    """
    return _reach_forward(start, network, hop, shrink)[0]


def _reach_forward(start: Array, network: Array, hop: int, shrink: int | float):
    n = network.shape[0]
    more = aligned(n) - n
    if more:
        start, network = jnp.pad(start, ((0, 0), (0, more))), jnp.pad(network, (0, more))
    total, kept = _reach_aligned(start, network, hop, shrink)
    return total[:, :n], kept


def _reach_aligned(start: Array, network: Array, hop: int, shrink: int | float):
    steps, network = [start], network / shrink
    for _ in range(hop):
        steps.append(steps[-1] @ network)
    return sum(steps[1:], start), (steps[:-1], network)


def _reach_backward(hop: int, shrink: int | float, kept, cotangent: Array) -> tuple[Array, Array]:
    steps, network = kept
    n = cotangent.shape[-1]
    if network.shape[0] > n:
        cotangent = jnp.pad(cotangent, ((0, 0), (0, network.shape[0] - n)))
    behind = [cotangent]  # cotangent @ network.T^k
    for _ in range(hop):
        behind.append(behind[-1] @ network.T)
    if not hop:
        return cotangent[:, :n], jnp.zeros_like(network)[:n, :n]
    returned = list(accumulate(behind))  # added up where they are read
    by_network = jnp.concatenate(steps).T @ jnp.concatenate(returned[-2::-1])
    return returned[-1][:, :n], by_network[:n, :n] / shrink


reach.defvjp(_reach_forward, _reach_backward)


def scaled_reach(probs: Float[Array, "T T"], hop: int) -> Float[Array, "T T"]:
    """Return S for probabilities, [T, T]: rows sum to 1 before, columns span [0, 1] after."""
    mass = probs.sum(axis=1, keepdims=True)
    rows = probs / jnp.where(mass == 0, 1, mass)
    paths = reach(rows, rows, hop, 1.0)
    low, high = paths.min(axis=0, keepdims=True), paths.max(axis=0, keepdims=True)
    return (paths - low) / (high - low + 1e-8)


def _reach_of_cells(logits: Array, rows: Array, batch: Batch, hop: int) -> Array:
    """Return D S for logits, [B, T]; rows are treatments or cells, whichever are fewer."""
    n_treatments, n_cells = logits.shape[0], batch.perturbation.shape[0]
    if len(rows) <= n_cells:
        return dosage_sum(reach(rows, logits, hop, n_treatments), batch)
    return reach(dosage_sum(rows, batch), logits, hop, n_treatments)
