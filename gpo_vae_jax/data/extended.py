"""Extended genes: those that respond most to a perturbation (docs/method.md 7)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from gpo_vae_jax.data import counts as count_matrix


def passes(
    log_fold_change: np.ndarray, p: np.ndarray, rule: str, least_change: float, p_below: float
) -> np.ndarray:
    """Say which genes respond: |log fold change| and adjusted p beyond their limits.

    `rule` "both" asks for the p on both sides, "up_only" only where expression went up (as
    upstream does for RPE1 and K562).
    """
    significant = p < p_below
    up = (log_fold_change > least_change) & significant
    down = log_fold_change < -least_change
    return up | (down & significant if rule == "both" else down)


def extended_genes(
    counts: count_matrix.CountMatrix,
    labels: np.ndarray,
    control: str,
    genes: Sequence[str],
    perturbed: Sequence[str],
    *,
    rule: str,
    least_change: float,
    p_below: float,
) -> tuple[str, ...]:
    """Name the extended genes, sorted.

    For each perturbation the first gene that passes, in the order of descending Wilcoxon score
    against the control cells (normalised, log1p); a gene that is itself perturbed is left out.
    `labels` [N] are the cells' perturbations; those with fewer than two cells are not tested.
    """
    import anndata
    import scanpy

    names, sizes = np.unique(labels, return_counts=True)
    tested = [str(n) for n, size in zip(names, sizes, strict=True) if n != control and size > 1]
    if rule == "none" or not tested or not (labels == control).sum() > 1:
        return ()
    factor = count_matrix.normalisation(count_matrix.library_size(counts))
    scaled = sparse.diags(factor.astype(np.float32)) @ sparse.csr_matrix(counts, dtype=np.float32)
    adata = anndata.AnnData(
        sparse.csr_matrix(scaled.log1p()),
        obs=pd.DataFrame(
            {"label": pd.Categorical(labels)}, index=np.arange(len(labels)).astype(str)
        ),
        var=pd.DataFrame(index=pd.Index(list(genes))),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # log2 of 0, fragmented frames
        scanpy.tl.rank_genes_groups(
            adata, "label", groups=tested, reference=control, method="wilcoxon"
        )
    result = adata.uns["rank_genes_groups"]
    found = set()
    for name in tested:
        ok = passes(
            result["logfoldchanges"][name], result["pvals_adj"][name], rule, least_change, p_below
        )
        if ok.any():
            found.add(str(result["names"][name][np.argmax(ok)]))
    return tuple(sorted(found - set(perturbed)))
