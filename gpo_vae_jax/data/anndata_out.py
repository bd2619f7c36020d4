"""Results as AnnData: the only place where one is built for evaluation and prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

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
    """Return an AnnData of N observations (cells or perturbations) and G genes.

    Args:
      values: [N, G], stored as X.
      obs: N rows of annotation; the index names the observations.
      genes: G names.
      layers: further values, [N, G] each.
      var: G rows of annotation; by default only the gene names.
      varp: sparse [G, G] matrices, such as `network_over_genes`.
      uns: unstructured annotation of types an h5ad can store.
    """
    var = pd.DataFrame(index=pd.Index(list(map(str, genes)))) if var is None else var
    return anndata.AnnData(
        X=values,
        obs=obs,
        var=var,
        layers=dict(layers or {}),
        varp=cast(dict[str, Any], dict(varp or {})),
        uns=dict(uns or {}),
    )


def network_over_genes(
    matrix: np.ndarray, treatments: Sequence[str], genes: Sequence[str]
) -> sparse.csr_matrix:
    """Return a network [T, T] as a sparse matrix over all genes, [G, G].

    Treatments that are not measured are dropped.
    """
    at = pd.Index(list(genes)).get_indexer(pd.Index(list(treatments)))
    row, column = np.nonzero((at >= 0)[:, None] & (at >= 0)[None, :])
    entries = (np.asarray(matrix)[row, column], (at[row], at[column]))
    return sparse.csr_matrix(entries, shape=(len(genes), len(genes)))
