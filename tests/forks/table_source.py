"""A data source of one's own: two pandas tables instead of an h5ad file."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gpo_vae_jax import data
from gpo_vae_jax.types import Conventions, Dataset


def dataset_of_tables(counts: pd.DataFrame, cells: pd.DataFrame, control: str) -> Dataset:
    """Build a Dataset from counts, cells by genes, and one row of annotation per cell.

    Args:
      counts: [N, G] UMI counts.
      cells: columns `gene` (the perturbed gene or `control`), `split` and `failed`.
      control: the label of control cells.
    """
    label = cells["gene"].to_numpy(str)
    treatments = sorted(set(label) - {control})
    dosage = (label[:, None] == np.array(treatments)).astype(np.float32)
    share = counts.div(counts.sum(axis=1), axis=0)
    expression = np.log1p(1e4 * share)[treatments].to_numpy()
    usual = expression[label == control].mean(axis=0)  # instead of a matched control per cell
    return data.from_arrays(
        counts=counts.to_numpy(),
        dosage=dosage,
        qc_fail=cells["failed"].to_numpy(),
        counterfactual=np.zeros_like(counts.to_numpy()),  # zeros: there is none
        delta=np.abs(expression - usual),
        split=cells["split"].to_numpy(str),
        treatments=treatments,
        n_perturbed=len(treatments),
        genes=list(counts.columns),
        cells=list(counts.index),
        cell_labels=label,
        conventions=Conventions(control=control),
    )
