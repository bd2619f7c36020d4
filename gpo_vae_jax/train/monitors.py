"""Monitors of the network during training (docs/method.md 6)."""

from __future__ import annotations

import jax.numpy as jnp

from gpo_vae_jax.model import bind
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Metrics, Params

THRESHOLDS = (0.2, 0.5, 0.8)


def network_monitors(params: Params, tables: dict[str, Array], *, spec: Spec) -> Metrics:
    """Return shares of edge probabilities, numbers of edges and their mean Wasserstein distances.

    Edges from a gene to itself are not counted, as in evaluation; shares are over all entries.
    Names with "block" count edges between perturbed treatments only. A mean over no edges is nan.

    Args:
      params: of the model.
      tables: Wasserstein distances [R, T] by split, nan where there is nothing to compare.
      spec: sizes and settings of the model.
    """
    probs, n = bind(params, spec).guide.mask_probs(), spec.sizes.n_perturbed
    found: Metrics = {
        "share_ge_0.5": jnp.mean(probs >= 0.5),
        "share_ge_0.8": jnp.mean(probs >= 0.8),
        "share_le_0.2": jnp.mean(probs <= 0.2),
    }
    other = ~jnp.eye(len(probs), dtype=bool)
    for threshold in THRESHOLDS:
        edges = (probs > threshold) & other
        found[f"edges_{threshold}"] = jnp.sum(edges)
        found[f"block_edges_{threshold}"] = jnp.sum(edges[:n, :n])
        for split, table in tables.items():
            name = f"wasserstein_{split}_{threshold}"
            found[name] = _mean_over_edges(table, edges[:n])
            found[f"block_{name}"] = _mean_over_edges(table[:, :n], edges[:n, :n])
    return found


def _mean_over_edges(table: Array, edges: Array) -> Array:
    counted = edges & ~jnp.isnan(table)
    number = jnp.sum(counted)
    mean = jnp.sum(jnp.where(counted, table, 0)) / jnp.maximum(number, 1)
    return jnp.where(number > 0, mean, jnp.nan)
