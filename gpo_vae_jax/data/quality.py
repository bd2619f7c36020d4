"""Quality control of cells: metrics, thresholds in MADs, doublets (docs/method.md 7)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.errors import DataError

GENE_GROUPS = {"mt": "^MT-", "ribo": "^(RPS|RPL)", "hb": "^HB[^(P)]"}
LOW_FAILS = ("UMI_count", "ngenes")
HIGH_FAILS = tuple(f"pct_counts_{group}" for group in GENE_GROUPS)
METRICS = LOW_FAILS + HIGH_FAILS


def quality_metrics(
    counts: count_matrix.CountMatrix, genes: Sequence[str]
) -> dict[str, np.ndarray]:
    """Give each cell's UMI_count, ngenes and per cent of mt, ribo and hb counts, [N] float64.

    A cell without any count has 0 per cent of everything.
    """
    total = count_matrix.library_size(counts)
    if sparse.issparse(counts):
        n_genes = np.asarray((counts != 0).sum(axis=1)).ravel()
    else:
        n_genes = np.count_nonzero(counts, axis=1)
    metrics = {"UMI_count": total, "ngenes": n_genes.astype(np.float64)}
    for group, pattern in GENE_GROUPS.items():
        members = np.array([re.search(pattern, gene) is not None for gene in genes])
        part = count_matrix.columns(counts, np.flatnonzero(members)).sum(axis=1, dtype=np.float64)
        share = np.divide(100 * part, total, out=np.zeros(len(total)), where=total > 0)
        metrics[f"pct_counts_{group}"] = share
    return metrics


def quality_flags(
    metrics: Mapping[str, np.ndarray], threshold: float
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Flag the cells beyond median -+ threshold * MAD of each metric, 1 = failed.

    UMI_count and ngenes fail below, the shares fail above; MAD = median(|x - median|), unscaled.
    The comparison is strict, so that a metric that is the same in every cell (MAD 0) flags none.
    Gives the flags and the thresholds, both by metric.
    """
    flags, limits = {}, {}
    for name, values in metrics.items():
        median = np.median(values)
        reach = threshold * np.median(np.abs(values - median))
        low = name in LOW_FAILS
        limits[name] = float(median - reach if low else median + reach)
        flags[name] = (values < limits[name] if low else values > limits[name]).astype(np.int8)
    return flags, limits


def predicted_doublets(counts: count_matrix.CountMatrix, seed: int) -> np.ndarray:
    """Flag doublets by Scrublet as scanpy runs it on the whole matrix, [N] int8.

    Raises DataError where Scrublet cannot run, such as on too few cells or genes.
    """
    import anndata
    import scanpy

    adata = anndata.AnnData(sparse.csr_matrix(counts, dtype=np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            scanpy.pp.scrublet(adata, random_state=seed, verbose=False)
        except Exception as error:  # scanpy, scikit-image and ARPACK raise many kinds
            raise DataError(
                f"Scrublet failed ({error}); it needs scikit-image and enough cells and genes; "
                "leave doublets out with --config.prepare.doublets=False"
            ) from error
    return np.asarray(adata.obs["predicted_doublet"].fillna(False), dtype=np.int8)
