"""Simulated cells of any shape, in NumPy alone: every implementation is measured on the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from benchmarks.inputs.shapes import Shape

CONTROL_SHARE, FAILED_SHARE, NO_COUNTERFACTUAL = 1 / 8, 0.12, 0.1
FAILED_DEPTH = 0.2  # relative to a cell that passed
_CHUNK = 1024  # rows at a time, to bound memory


def cells(shape: Shape, n_cells: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Simulate cells; about 37 % of the counts are nonzero, as in a genome-scale screen.

    Gene means and depths are log-normal, counts Gamma-Poisson. The treatments' genes are the first
    T; each cell is matched with a random control. Counterfactual counts are those of another cell,
    thinned, and all zeros for one cell in ten.

    Returns:
      "counts" uint16 [n, G], "perturbation" int32 [n] (-1: control), "qc_fail" float32 [n, 1],
      "counterfactual" uint16 [n, G], "delta" float32 [n, T], "library_size" float32 [n].
    """
    rng = np.random.default_rng(seed)
    n_genes = shape.genes
    means = np.exp(rng.normal(-0.85, 1.35, n_genes)).astype(np.float32)
    perturbation = rng.integers(shape.perturbed, size=n_cells).astype(np.int32)
    perturbation[rng.random(n_cells) < CONTROL_SHARE] = -1
    failed = rng.random(n_cells) < FAILED_SHARE
    depth = np.exp(rng.normal(0, 0.3, n_cells)) * np.where(failed, FAILED_DEPTH, 1)
    depth = depth.astype(np.float32)

    counts = np.empty((n_cells, n_genes), np.uint16)
    for at in _chunks(n_cells):
        mean = means * depth[at, None]
        mean *= rng.standard_gamma(4.0, mean.shape, dtype=np.float32) / 4
        counts[at] = rng.poisson(mean)

    library_size = counts.sum(1, dtype=np.float64)
    controls = np.flatnonzero(perturbation < 0)
    matched = rng.choice(controls if len(controls) else np.arange(n_cells), n_cells)
    columns = np.arange(shape.treatments) % n_genes
    scale = np.median(library_size) / np.maximum(library_size, 1)
    expression = np.log1p(counts[:, columns] * scale[:, None].astype(np.float32))

    other = rng.permutation(n_cells)
    none = rng.random(n_cells) < NO_COUNTERFACTUAL
    counterfactual = np.empty_like(counts)
    for at in _chunks(n_cells):
        shape_of = (len(other[at]), n_genes)
        thinned = counts[other[at]] * np.float32(FAILED_DEPTH)
        counterfactual[at] = thinned + rng.random(shape_of, dtype=np.float32)  # rounded at random
    counterfactual[none] = 0
    return {
        "counts": counts,
        "perturbation": perturbation,
        "qc_fail": failed[:, None].astype(np.float32),
        "counterfactual": counterfactual,
        "delta": np.abs(expression - expression[matched]),
        "library_size": library_size.astype(np.float32),
    }


def statistics(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return the mean and unbiased standard deviation of each gene; 1 for a constant gene.

    Returns:
      "x_mean", "x_std" of counts and "log_x_mean", "log_x_std" of log(counts + 1), float32 [G].
    """
    found, varies = {}, counts.min(0) != counts.max(0)
    for name, transform in (("x", lambda x: x), ("log_x", np.log1p)):
        n = len(counts)
        mean = sum(transform(counts[at].astype(np.float64)).sum(0) for at in _chunks(n)) / n
        squares = sum(
            ((transform(counts[at].astype(np.float64)) - mean) ** 2).sum(0) for at in _chunks(n)
        )
        std = np.sqrt(squares / max(n - 1, 1))
        found[f"{name}_mean"] = mean.astype(np.float32)
        found[f"{name}_std"] = np.where(varies, std, 1).astype(np.float32)
    return found


def _chunks(n: int) -> list[slice]:
    return [slice(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK)]
