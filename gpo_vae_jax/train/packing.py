"""Parameters packed for the optimiser: on a GPU every small array costs a kernel of its own.

Biases and other vectors are nearly half of the arrays and few of the numbers. Through an epoch they
are one vector, and so are their moments; the model reads it in slices.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.train.layout import Layout
from gpo_vae_jax.train.optimizer import EDGES
from gpo_vae_jax.train.step import StepState
from gpo_vae_jax.types import Params

_LARGE, _SMALL = "large", "small"
_MOST = 10_000  # numbers of a small array


@dataclasses.dataclass(frozen=True)
class Packing:
    """Which arrays of a tree are packed."""

    tree: Any  # the structure of the parameters
    shapes: tuple[tuple[int, ...], ...]  # of every leaf
    small: tuple[bool, ...]  # which leaves are packed

    @classmethod
    def of(cls, params: Params, layout: Layout | None) -> Packing | None:
        """Return how to pack parameters; None where it would gain nothing.

        That is on a CPU, and on several devices, where a vector may be divided over them. Edges are
        not packed: their learning rate may be another.
        """
        if on_cpu() or layout is not None:
            return None
        leaves, tree = jax.tree_util.tree_flatten_with_path(params)
        small = tuple(leaf.size <= _MOST and path[-1].key not in EDGES for path, leaf in leaves)
        return cls(tree, tuple(leaf.shape for _, leaf in leaves), small)

    def pack(self, params: Params) -> dict[str, Any]:
        """Return small leaves as one vector, and the others by their names."""
        leaves = list(zip(jax.tree.leaves(params), self.small, strict=True))
        large = jax.tree.unflatten(self.tree, [None if small else leaf for leaf, small in leaves])
        vectors = [leaf.reshape(-1) for leaf, small in leaves if small]
        return {_LARGE: large, _SMALL: jnp.concatenate(vectors)}

    def unpack(self, packed: Params) -> Params:
        """Return what `pack` was given."""
        large, start, leaves = iter(jax.tree.leaves(packed[_LARGE])), 0, []
        for shape, small in zip(self.shapes, self.small, strict=True):
            if not small:
                leaves.append(next(large))
                continue
            end = start + math.prod(shape)
            leaves.append(packed[_SMALL][start:end].reshape(shape))
            start = end
        return jax.tree.unflatten(self.tree, leaves)

    def pack_state(self, state: StepState) -> StepState:
        """Pack the parameters, and whatever of the optimiser's state has their structure."""

        def pack(part: Any) -> Any:
            return self.pack(part) if self._is_whole(part) else part

        return jax.tree.map(pack, state, is_leaf=self._is_whole)

    def unpack_state(self, state: StepState) -> StepState:
        """Return what `pack_state` was given."""

        def unpack(part: Any) -> Any:
            return self.unpack(part) if _is_packed(part) else part

        return jax.tree.map(unpack, state, is_leaf=_is_packed)

    def _is_whole(self, part: Any) -> bool:
        return jax.tree.structure(part) == self.tree


def _is_packed(part: Any) -> bool:
    return isinstance(part, dict) and part.keys() == {_LARGE, _SMALL}
