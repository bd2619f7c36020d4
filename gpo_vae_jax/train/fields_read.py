"""Which large fields of the cells a loss looks at; the others need not be read or kept."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import numpy as np

from gpo_vae_jax.model import sample_noise
from gpo_vae_jax.objective import TERMS, loss
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Batch, Context, Params, Split

_LARGE = ("counterfactual", "delta")  # the counts are always read
_CELLS = 2  # of the batch that is traced


def left_out(params: Params, split: Split, *, spec: Spec) -> tuple[str, ...]:
    """Return the large fields of cells that the loss does not look at.

    The loss is traced, not run: with beta = 0 it has no counterfactual pass, and without alignment
    it has no use for delta. Terms of one's own in `objective.TERMS` are seen as well.

    Args:
      params: of the model, or their shapes.
      split: its cells may be on disk.
      spec: sizes and settings.
    """

    def kind(values: Array) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(np.shape(values), np.dtype(values.dtype))

    def kind_of_cells(values: Array) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((_CELLS, *values.shape[1:]), np.dtype(values.dtype))

    fields = {n: None if v is None else kind_of_cells(v) for n, v in split.cells._asdict().items()}
    large = {name: fields.pop(name) for name in _LARGE}
    context = jax.tree.map(lambda v: kind(np.asarray(v)), split.context)
    leaves, tree = jax.tree.flatten((large, fields, jax.tree.map(kind, params), context))
    return _left_out(tuple(leaves), tree, spec, tuple(TERMS.values()))


@lru_cache(maxsize=8)
def _left_out(kinds: Any, tree: Any, spec: Spec, terms: Any) -> tuple[str, ...]:
    """Trace the loss; `terms` only tells tables of terms apart."""
    del terms

    def traced(large: dict[str, Array], others: dict[str, Array], params: Params, context: Context):
        batch = Batch(**large, **others)
        noise = sample_noise(jax.random.key(0), spec, n_particles=1, n_cells=_CELLS)
        return loss(params, context, batch, noise, spec=spec)

    jaxpr = jax.make_jaxpr(traced)(*jax.tree.unflatten(tree, kinds)).jaxpr
    used = {id(value) for line in jaxpr.eqns for value in line.invars}
    used |= {id(value) for value in jaxpr.outvars}
    order = sorted(_LARGE)  # as dictionaries are flattened
    return tuple(n for n, value in zip(order, jaxpr.invars, strict=False) if id(value) not in used)


def without(split: Split, fields: tuple[str, ...]) -> Split:
    """Return a split whose cells have no columns in these fields."""
    empty: dict[str, Any] = {}
    for name in fields:
        values = getattr(split.cells, name)
        empty[name] = np.zeros((len(values), 0), values.dtype)
    return Split(split.cells._replace(**empty), split.context)
