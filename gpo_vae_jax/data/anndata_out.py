"""Results as AnnData: the one way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse


def as_anndata(
    values: np.ndarray,
    obs: pd.DataFrame,
    genes: Sequence[str],
    *,
    layers: Mapping[str, np.ndarray] | None = None,
    var: pd.DataFrame | None = None,
    varp: Mapping[str, sparse.spmatrix] | None = None,
    uns: Mapping[str, Any] | None = None,
) -> anndata.AnnData:
    """Return values [N, G] of N things (cells, perturbations) and G genes with what is known of them.

    Args:
      obs: N rows; its index names them.
      layers: further values, each [N, G].
      var: G rows, facts about the genes.
      varp: by name, [G, G] sparse: such as the network over the genes (`network_over_genes`).
      uns: anything that an h5ad can hold.
    """
    var = pd.DataFrame(index=pd.Index(list(map(str, genes)))) if var is None else var
    return anndata.AnnData(
        X=values,
        obs=obs,
        var=var,
        layers=dict(layers or {}),
        varp=dict(varp or {}),
        uns=dict(uns or {}),
    )


def network_over_genes(
    matrix: np.ndarray, treatments: Sequence[str], genes: Sequence[str]
) -> sparse.csr_matrix:
    """Place a network [T, T] over all genes, [G, G]; treatments that are not measured drop out."""
    at = pd.Index(list(genes)).get_indexer(list(treatments))
    row, column = np.nonzero((at >= 0)[:, None] & (at >= 0)[None, :])
    entries = (np.asarray(matrix)[row, column], (at[row], at[column]))
    return sparse.csr_matrix(entries, shape=(len(genes), len(genes)))
