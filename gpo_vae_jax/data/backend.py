"""Cell sums and Scrublet, on scanpy (CPU) or rapids-singlecell (GPU).

Cell sums are identical on both: whole numbers below 2^24. Doublets differ, as Scrublet simulates
them at random.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.errors import DataError

BACKENDS = ("auto", "scanpy", "rapids")


def choose_backend(backend: str) -> str:
    """Return "scanpy" or "rapids"; "auto" means rapids if it is installed and finds a GPU.

    Raises DataError for "rapids" if it cannot run; the message says what to install.
    """
    if backend not in BACKENDS:
        raise DataError(
            f"config.prepare.backend={backend!r} is not possible; there are: {', '.join(BACKENDS)}"
        )
    problem = "" if backend == "scanpy" else _why_not_rapids()
    if problem and backend == "rapids":
        raise DataError(f"config.prepare.backend='rapids' cannot be used: {problem}")
    return "scanpy" if problem or backend == "scanpy" else "rapids"


def cell_sums(
    counts: count_matrix.CountMatrix, members: Mapping[str, np.ndarray], backend: str = "scanpy"
) -> dict[str, np.ndarray]:
    """Return UMI_count, ngenes and the counts in each gene group of every cell, [N] float64 each.

    Args:
      counts: [N, G].
      members: the genes of each group, [G] bool.
      backend: "scanpy" or "rapids".
    """
    if backend == "rapids":
        import rapids_singlecell as rapids

        adata = _on_gpu(counts)
        for name, genes in members.items():
            adata.var[name] = genes
        rapids.pp.calculate_qc_metrics(adata, qc_vars=list(members), log1p=False)
        columns = {"UMI_count": "total_counts", "ngenes": "n_genes_by_counts"}
        columns |= {name: f"total_counts_{name}" for name in members}
        return {name: adata.obs[key].to_numpy(np.float64) for name, key in columns.items()}
    sums = {
        "UMI_count": count_matrix.library_size(counts),
        "ngenes": count_matrix.genes_per_cell(counts),
    }
    for name, genes in members.items():
        part = count_matrix.columns(counts, np.flatnonzero(genes))
        sums[name] = part.sum(axis=1, dtype=np.float64)
    return sums


def scrublet(counts: count_matrix.CountMatrix, seed: int, backend: str = "scanpy") -> np.ndarray:
    """Flag doublets with Scrublet at its default settings, [N] int8.

    Raises DataError if Scrublet fails, for example on too few cells or genes.
    """
    if backend == "rapids":
        import rapids_singlecell as package

        adata, settings = _on_gpu(counts), dict[str, Any]()
    else:
        import scanpy as package

        # Exact neighbours: the approximate ones that scanpy 1.11.5 uses for many cells fail with
        # the pinned versions of scipy and pynndescent.
        adata, settings = _as_anndata(counts), dict[str, Any](use_approx_neighbors=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            package.pp.scrublet(adata, random_state=seed, verbose=False, **settings)
        except Exception as error:  # scanpy, scikit-image and ARPACK raise many kinds
            raise DataError(
                f"Scrublet failed on {adata.n_obs} cells ({error}); it needs scikit-image and "
                "enough cells and genes; config.prepare.scrublet=off turns it off"
            ) from error
    if "predicted_doublet" not in adata.obs:  # the scores are not bimodal: no threshold
        return np.zeros(adata.n_obs, np.int8)
    return np.asarray(adata.obs["predicted_doublet"].eq(True), dtype=np.int8)


def _why_not_rapids() -> str:
    if importlib.util.find_spec("rapids_singlecell") is None:
        return (
            "rapids-singlecell is not installed; pip install 'gpo-vae-jax[rapids12]' (or rapids11, "
            "rapids13, for CUDA 11 and 13), or use config.prepare.backend=scanpy"
        )
    try:
        import cupy

        return "" if cupy.cuda.runtime.getDeviceCount() else "no GPU was found"
    except Exception as error:  # a missing driver or CUDA library raises many kinds
        return f"no GPU can be used ({error})"


def _as_anndata(counts: count_matrix.CountMatrix) -> Any:
    import anndata

    return anndata.AnnData(sparse.csr_matrix(counts, dtype=np.float32))


def _on_gpu(counts: count_matrix.CountMatrix) -> Any:
    import rapids_singlecell as rapids

    adata = _as_anndata(counts)
    rapids.get.anndata_to_GPU(adata)
    return adata
