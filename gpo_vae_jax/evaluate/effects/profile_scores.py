"""Scores of predicted cells from mean profiles, as cell-eval defines them (docs/evaluation.md)."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from gpo_vae_jax.errors import DataError, listed
from gpo_vae_jax.statistics.correlation import pearson

SCORES = ("pearson_delta", "mse", "mae", "mse_delta", "mae_delta")


def profile_scores(
    predicted: anndata.AnnData, real: anndata.AnnData, control: str, key: str = "target_gene"
) -> pd.DataFrame:
    """Compare the mean profiles of predicted and real cells, perturbation by perturbation.

    The profile of a perturbation is the mean of its cells, gene by gene, of the values as they are.
    A delta is the profile minus that of the control cells of the same file.

    Args:
      predicted: cells [N, G], log-normalised.
      real: cells [M, G], normalised alike, of the same perturbations and genes.
      control: the label of control cells.
      key: the column of `obs` with the labels.

    Returns:
      A row for each perturbation but the control, sorted: `perturbation`, `pearson_delta` (r of the
      deltas over genes), `mse` and `mae` (of the profiles), `mse_delta` and `mae_delta`.

    Raises:
      DataError: the genes or the perturbations of the two differ, or there is no control.
    """
    if list(predicted.var_names) != list(real.var_names):
        raise DataError("predicted and real cells differ in their genes, or in the order of genes")
    ours, theirs = _profiles(predicted, key), _profiles(real, key)
    if set(ours) != set(theirs):
        raise DataError(
            f"predicted and real cells differ in perturbations: {listed(set(ours) ^ set(theirs))}"
        )
    if control not in ours:
        raise DataError(f"obs[{key!r}] has no control {control!r}; it has {listed(ours)}")
    rows = []
    for label in sorted(set(ours) - {control}):
        errors = ours[label] - theirs[label]
        deltas = ours[label] - ours[control], theirs[label] - theirs[control]
        of_deltas = deltas[0] - deltas[1]
        rows.append(
            {
                "perturbation": label,
                "pearson_delta": pearson(*deltas),
                "mse": float(np.square(errors).mean()),
                "mae": float(np.abs(errors).mean()),
                "mse_delta": float(np.square(of_deltas).mean()),
                "mae_delta": float(np.abs(of_deltas).mean()),
            }
        )
    return pd.DataFrame(rows, columns=["perturbation", *SCORES])


def _profiles(adata: anndata.AnnData, key: str) -> dict[str, np.ndarray]:
    """Return the mean of each label's cells, [G] float64."""
    if key not in adata.obs:
        raise DataError(f"obs has no column {key!r} of perturbations")
    names, code = np.unique(np.asarray(adata.obs[key], dtype=str), return_inverse=True)
    member = sparse.csr_matrix((np.ones(len(code)), (code, np.arange(len(code)))))
    sums = member @ sparse.csr_matrix(adata.X, dtype=np.float64)
    means = sums.toarray() / np.bincount(code)[:, None]
    return {str(name): mean for name, mean in zip(names, means, strict=True)}
