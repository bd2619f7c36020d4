"""Quality control of cells: metrics, thresholds in MADs, doublets (docs/method.md 7)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.backend import cell_sums, scrublet
from gpo_vae_jax.errors import DataError

_GENOME = re.compile(r"^(?:GRCh3[78]|hg19|hg38|GRCm3[89]|mm10|mm39|BDGP6|dm6)_+")  # of mixtures
GENE_GROUPS = {  # in any case: mt-Nd1 and Rps3 of the mouse, mt:ND1 of the fly, MT.ND1 of R
    "mt": r"^MT[-:.]",
    "ribo": "^(RPS|RPL)",
    "hb": "^HB[^(P)]",
}
LOW_FAILS = ("UMI_count", "ngenes")
HIGH_FAILS = tuple(f"pct_counts_{group}" for group in GENE_GROUPS)
METRICS = LOW_FAILS + HIGH_FAILS
DOUBLET = "predicted_doublet"  # the obs column, and the flag, of doublets
N_SLICES = 10
FEWEST_CELLS = 100  # of a batch for Scrublet


def quality_metrics(
    counts: count_matrix.CountMatrix, genes: Sequence[str], backend: str = "scanpy"
) -> dict[str, np.ndarray]:
    """Return UMI_count, ngenes and the percentages of mt, ribo and hb counts, [N] float64 each.

    The percentages of a cell without counts are 0.

    Args:
      counts: [N, G].
      genes: G symbols, which identify the gene groups.
      backend: "scanpy" or "rapids".
    """
    groups = group_members(genes)
    sums = cell_sums(counts, groups, backend)
    total = sums["UMI_count"]
    shares = {
        f"pct_counts_{group}": np.divide(
            100 * sums[group], total, out=np.zeros(len(total)), where=total > 0
        )
        for group in groups
    }
    return {"UMI_count": total, "ngenes": sums["ngenes"], **shares}


def group_members(genes: Sequence[str]) -> dict[str, np.ndarray]:
    """Return which genes are mitochondrial, ribosomal and haemoglobin, by symbol, [G] bool each."""
    names = [_GENOME.sub("", gene) for gene in genes]
    return {
        group: np.array([re.search(pattern, name, re.IGNORECASE) is not None for name in names])
        for group, pattern in GENE_GROUPS.items()
    }


def quality_flags(
    metrics: Mapping[str, np.ndarray], threshold: float
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Flag the cells beyond median -+ threshold * MAD of each metric, 1 = failed.

    UMI_count and ngenes fail below, the percentages above; MAD = median(|x - median|), unscaled.
    The comparison is strict, so that a constant metric (MAD 0) flags no cell.

    Returns:
      Two dicts by metric: the flags, [N] int8, and the limits.
    """
    flags, limits = {}, {}
    for name, values in metrics.items():
        median = np.median(values)
        reach = threshold * np.median(np.abs(values - median))
        low = name in LOW_FAILS
        limits[name] = float(median - reach if low else median + reach)
        flags[name] = (values < limits[name] if low else values > limits[name]).astype(np.int8)
    return flags, limits


def passed_by_limits(
    counts: count_matrix.CountMatrix,
    symbols: Sequence[str],
    limits: Mapping[str, Mapping[str, float]],
) -> dict[str, np.ndarray]:
    """Return which cells pass the limits of a data set, by MADs, [N] bool each.

    Only metrics with a limit can fail a cell. Doublets are not sought.

    Args:
      counts: [N, G].
      symbols: G symbols, which identify mitochondrial and other gene groups.
      limits: by MADs ("3"), then by metric (Conventions.quality_limits).
    """
    metrics = quality_metrics(counts, symbols)
    passed = {}
    for mads, by_metric in limits.items():
        good = np.ones(counts.shape[0], bool)
        for name, limit in by_metric.items():
            good &= metrics[name] >= limit if name in LOW_FAILS else metrics[name] <= limit
        passed[mads] = good
    return passed


def predicted_doublets(
    counts: count_matrix.CountMatrix,
    seed: int,
    batch: np.ndarray | None = None,
    backend: str = "scanpy",
    fewest: int = 0,
) -> np.ndarray:
    """Flag doublets with Scrublet, [N] int8, in each batch by itself.

    Args:
      counts: [N, G].
      seed: of the simulated doublets.
      batch: [N] any labels; None: all cells are one batch.
      backend: "scanpy" or "rapids".
      fewest: cells of a batch; in smaller ones none is flagged.

    Raises:
      DataError: Scrublet fails, for example on too few genes; the message names the batch.
    """
    counts = count_matrix.by_rows(counts)
    if batch is None:
        return scrublet(counts, seed, backend)
    flags = np.zeros(counts.shape[0], np.int8)
    for name in np.unique(batch):
        rows = np.flatnonzero(batch == name)
        if len(rows) < fewest:
            continue
        try:
            flags[rows] = scrublet(counts[rows], seed, backend)
        except DataError as error:
            raise DataError(f"batch {str(name)!r}: {error}") from error
    return flags


def doublet_slices(labels: np.ndarray) -> np.ndarray:
    """Return the batch of each cell as the published preparation cuts them for Scrublet, [N] 0..10.

    Each label's cells, in row order, are cut into 10 even slices; slice i of all labels together is
    batch i. The remainders (fewer than 10 cells per label) are batch 10, or join batch 9 if they
    are too few for Scrublet.
    """
    _, code, size = np.unique(labels, return_inverse=True, return_counts=True)
    code = code.ravel()
    order = np.argsort(code, kind="stable")
    first = np.cumsum(size) - size
    rank = np.empty(len(code), np.int64)
    rank[order] = np.arange(len(code)) - first[code[order]]
    step = size[code] // N_SLICES
    slices = np.where(rank < N_SLICES * step, rank // np.maximum(step, 1), N_SLICES)
    rest = slices == N_SLICES
    if rest.sum() < FEWEST_CELLS and not rest.all():
        slices[rest] = N_SLICES - 1
    return slices
