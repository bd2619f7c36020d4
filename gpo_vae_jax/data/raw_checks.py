"""Checks of raw input, all of them before any work."""

from __future__ import annotations

import re

import anndata
import numpy as np
import pandas as pd

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.dataset import SPLITS
from gpo_vae_jax.data.labels import listed, meant
from gpo_vae_jax.errors import DataError

_LIKE_CONTROL = re.compile(
    r"non.?target|ctrl|control|scramble|safe|unperturbed|^neg|^nt\d*$|^wt$|^none$", re.IGNORECASE
)


def check_raw(adata: anndata.AnnData, config: PrepareConfig) -> count_matrix.CountMatrix:
    """Check that raw data can be prepared and give its counts.

    Raises DataError for an empty matrix, names that are not unique, a missing obs column, layer or
    control label, or values that are no counts, and says what the data has instead.
    """
    if adata.n_obs == 0 or adata.n_vars == 0:
        raise DataError(f"the matrix is empty: {adata.n_obs} cells x {adata.n_vars} genes")
    for what, names in (("cell", adata.obs_names), ("gene", adata.var_names)):
        repeated = names[names.duplicated()]
        if len(repeated):
            raise DataError(
                f"{what} names are not unique: {listed(set(repeated), 5)}; "
                f"make them so, for example with adata.{'obs' if what == 'cell' else 'var'}"
                "_names_make_unique()"
            )
    labels = _column(adata, config.perturbation_key, "perturbation_key")
    if not (labels == config.control).any():
        alike = sorted({label for label in labels.unique() if _LIKE_CONTROL.search(label)})
        hint = f"labels that look like one: {listed(alike)}" if alike else "no label looks like one"
        raise DataError(
            f"obs[{config.perturbation_key!r}] has no control cells {config.control!r}; {hint}; "
            "name the control with --config.prepare.control=LABEL"
        )
    if config.split_key:
        unknown = set(_column(adata, config.split_key, "split_key").unique()) - set(SPLITS)
        if unknown:
            raise DataError(
                f"obs[{config.split_key!r}] holds {listed(unknown)}; each cell must be in "
                "'train', 'val' or 'test'"
            )
    counts = adata.X
    if config.layer:
        if config.layer not in adata.layers:
            raise DataError(
                f"config.prepare.layer: there is no layer {config.layer!r}; "
                f"{meant(config.layer, list(adata.layers))}"
            )
        counts = adata.layers[config.layer]
    if counts is None:
        raise DataError("the AnnData has no X; name a layer in config.prepare.layer")
    count_matrix.check_counts(counts, f"layer {config.layer!r}" if config.layer else "X")
    return counts


def check_splits(split: np.ndarray, labels: np.ndarray, control: str) -> None:
    """Check that the splits can be used: none empty, controls in each, all perturbations trained.

    `split` and `labels` are [N]. Raises DataError.
    """
    for name in SPLITS:
        here = split == name
        if not here.any():
            raise DataError(f"the split {name!r} has no cells: there are too few cells")
        if not (labels[here] == control).any():
            raise DataError(
                f"the split {name!r} has no control cells ({int((labels == control).sum())} in all)"
            )
    untrained = set(labels) - set(labels[split == "train"])
    if untrained:
        raise DataError(
            f"perturbations without training cells: {listed(untrained)}; leave rare perturbations "
            "out with --config.prepare.min_cells=N"
        )


def _column(adata: anndata.AnnData, key: str, setting: str) -> pd.Series:
    """Give an obs column as text."""
    if key not in adata.obs:
        raise DataError(
            f"config.prepare.{setting}: obs has no column {key!r}; "
            f"there are: {listed(adata.obs.columns) or 'none'}"
        )
    column = adata.obs[key]
    missing = int(column.isna().sum())
    if missing:
        raise DataError(f"obs[{key!r}] is missing in {missing} cells; remove them or name them")
    if pd.api.types.is_float_dtype(column.dtype):
        raise DataError(f"obs[{key!r}] holds numbers, not names")
    return column.astype(str)
