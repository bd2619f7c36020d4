"""Categorical covariates, such as batches: a term for each category (docs/method.md 11)."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array


class CovariateTerms(nn.Module):
    """A table with a row for each category of every covariate, all of them 0 at the start."""

    spec: Spec
    features: int

    def setup(self):
        """Declare the table, [categories of all covariates, F]."""
        n = sum(map(len, self.spec.sizes.categories))
        self.table = self.param("table", nn.initializers.zeros_init(), (n, self.features))

    def __call__(self, codes: Int[Array, "B K"] | None) -> Float[Array, "B F"]:
        """Return the sum of the cells' terms, [B, F]; of no cell in particular, [1, F].

        Args:
          codes: rows of the table, one for each of K covariates; -1 where the category is unknown,
            which is taken to be that of an average training cell. None: of an average cell.
        """
        average, start = [], 0
        for cells in self.spec.sizes.categories:
            share = jnp.asarray(np.asarray(cells, np.float32) / sum(cells))
            average.append(share @ self.table[start : start + len(cells)])
            start += len(cells)
        means = jnp.stack(average)  # [K, F]
        if codes is None:
            return means.sum(0, keepdims=True)
        known = (codes >= 0)[..., None]
        rows = jnp.take(self.table, jnp.maximum(codes, 0), axis=0)  # [B, K, F]
        return jnp.where(known, rows, means[None]).sum(1)
