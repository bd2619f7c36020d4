"""Genes filled up to an aligned number, once for all batches: products on a GPU want it.

Every step would otherwise fill up the kernels again. The new genes have no counts, take no share of
a cell's counts and get no gradient: the loss and the other parameters are what they would be.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from gpo_vae_jax.model.blocks import aligned
from gpo_vae_jax.model.heads import Head, head_of
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.layout import Layout
from gpo_vae_jax.train.step import StepState
from gpo_vae_jax.types import Array, Batch, Context, InputStatistics, Params

_STATISTICS = (0.0, 1.0, 0.0, 1.0)  # of a new gene, as in `InputStatistics`


@dataclasses.dataclass(frozen=True)
class Filling:
    """How to fill up the genes of a program."""

    spec: Spec  # of the program, with the new genes

    @classmethod
    def of(cls, spec: Spec, layout: Layout | None) -> Filling | None:
        """Return how to fill up genes, or None where nothing is filled up.

        That is on a CPU, where several devices may share the genes, and where the likelihood head
        does not say what a gene is that takes no part.
        """
        n = spec.sizes.n_genes
        more = aligned(n) - n
        if not more or layout is not None or not head_of(spec.model.likelihood_key).idle:
            return None
        sizes = dataclasses.replace(spec.sizes, n_genes=n + more, n_filling=more)
        return cls(dataclasses.replace(spec, sizes=sizes))

    def params(self, params: Params) -> Params:
        """Return parameters with the new genes."""
        return self._filled(params, idle=True)

    def state(self, state: StepState) -> StepState:
        """Return parameters and what the optimiser keeps with the new genes."""
        moments = self._filled(state.optimizer, idle=False)
        return StepState(self.params(state.params), moments)

    def cut(self, state: StepState) -> StepState:
        """Return a state without the new genes."""

        def cut(path: tuple[Any, ...], leaf: Array) -> Array:
            n, axis = self.spec.sizes.n_real_genes, self._axis(path)
            return leaf if axis is None else jax.lax.slice_in_dim(leaf, 0, n, axis=axis)

        return jax.tree_util.tree_map_with_path(cut, state)

    def batch(self, batch: Batch) -> Batch:
        """Return cells with the new genes."""
        counts, counterfactual = (self._longer(a) for a in (batch.counts, batch.counterfactual))
        return batch._replace(counts=counts, counterfactual=counterfactual)

    def context(self, context: Context) -> Context:
        """Return the statistics of a split with the new genes."""
        filled = map(self._longer, context.statistics, _STATISTICS)
        return context._replace(statistics=InputStatistics(*filled))

    @property
    def _head(self) -> Head[Any]:
        return head_of(self.spec.model.likelihood_key)

    def _longer(self, values: Array, fill: float = 0, axis: int = -1) -> Array:
        """Return an array with the new genes on one axis."""
        more = [(0, 0)] * values.ndim
        more[axis] = (0, self.spec.sizes.n_filling)
        return jnp.pad(values, more, constant_values=fill)

    def _filled(self, tree: Any, *, idle: bool) -> Any:
        """Return parameters, or arrays by the same names, with the new genes."""
        of_idle = self._head.idle if idle else {}

        def filled(path: tuple[Any, ...], leaf: Array) -> Array:
            axis, (_, module, name) = self._axis(path), _names(path)
            if axis is None:
                return leaf
            return self._longer(leaf, of_idle.get(module if name == "bias" else name, 0), axis)

        return jax.tree_util.tree_map_with_path(filled, tree)

    def _axis(self, path: tuple[Any, ...]) -> int | None:
        """Return the axis of genes of a parameter, or of what the optimiser keeps for it."""
        head, (parent, module, name) = self._head, _names(path)
        if parent == "decoder" and module in head.linear:
            return {"kernel": 1, "bias": 0}[name]
        per_gene = module == "decoder" and name in head.per_gene
        return 0 if per_gene or name == "kernel_expression" else None


def _names(path: tuple[Any, ...]) -> tuple[str, str, str]:
    """Return the last three names of a path; empty ones where it is shorter."""
    names = ["", "", "", *(str(getattr(step, "key", "")) for step in path)]
    return names[-3], names[-2], names[-1]
