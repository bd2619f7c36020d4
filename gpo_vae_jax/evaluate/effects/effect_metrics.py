"""How well effects agree with those of the data (docs/method.md 8)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def effect_metrics(
    data: np.ndarray, other: np.ndarray, *, top: int = 20, top_sets: Sequence[int] = (20, 50)
) -> dict[str, float]:
    """Compare effects with the data's, both [C, G].

    Perturbations (rows) that either lacks are left out. `pearson` and `r2` pool all (perturbation,
    gene) pairs, `pearson_top` and `r2_top` the `top` genes of each perturbation with the largest
    |data effect|; `jaccard_K` is the mean over perturbations of the overlap of both sides' K genes
    of largest |effect|. Of genes with equal |effect| the first ones count as larger. What is not
    defined is nan: without two rows of values, or where they do not vary.
    """
    rows = np.isfinite(data).all(axis=1) & np.isfinite(other).all(axis=1)
    data, other = np.asarray(data, np.float64)[rows], np.asarray(other, np.float64)[rows]
    strongest = strongest_genes(data, top)
    pooled = [np.take_along_axis(values, strongest, axis=1) for values in (data, other)]
    found = {
        "pearson": _pearson(data, other),
        "r2": _r2(data, other),
        "pearson_top": _pearson(*pooled),
        "r2_top": _r2(*pooled),
    }
    for size in top_sets:
        found[f"jaccard_{size}"] = _jaccard(
            strongest_genes(data, size), strongest_genes(other, size), data.shape[1]
        )
    return found


def strongest_genes(effects: np.ndarray, top: int) -> np.ndarray:
    """Return each perturbation's genes of largest |effect|, [C, min(top, G)], strongest first."""
    return np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :top]


def _pearson(data: np.ndarray, other: np.ndarray) -> float:
    if data.size < 2 or np.ptp(data) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(data.ravel(), other.ravel())[0, 1])


def _r2(data: np.ndarray, other: np.ndarray) -> float:
    if data.size < 2 or np.ptp(data) == 0:
        return float("nan")
    return float(1 - np.square(data - other).sum() / np.square(data - data.mean()).sum())


def _jaccard(a: np.ndarray, b: np.ndarray, n_genes: int) -> float:
    if not len(a):
        return float("nan")
    member = np.zeros((2, len(a), n_genes), bool)
    for side, genes in zip(member, (a, b), strict=True):
        np.put_along_axis(side, genes, True, axis=1)
    shared, either = (member[0] & member[1]).sum(1), (member[0] | member[1]).sum(1)
    return float((shared / either).mean())
