"""The Dataset of a prepared AnnData (docs/data.md), in memory or in an h5ad file."""

from __future__ import annotations

import dataclasses
import os
from typing import cast

import anndata
import numpy as np
import pandas as pd

from gpo_vae_jax.config import DataConfig
from gpo_vae_jax.data import gene_names, labels
from gpo_vae_jax.data.dataset import SPLITS, from_arrays
from gpo_vae_jax.data.prepared import cell_fields
from gpo_vae_jax.data.prepared.h5ad_access import first_line, read_h5ad
from gpo_vae_jax.data.prepared.preparation_record import (
    RECORD,
    PreparationRecord,
    read_record,
    require,
)
from gpo_vae_jax.data.prepared.screen_rows import read_screen
from gpo_vae_jax.data.prepared.simulated_truth import read_truth
from gpo_vae_jax.data.quality_control import DOUBLET
from gpo_vae_jax.errors import DataError, listed
from gpo_vae_jax.types import Conventions, Dataset

_DEFAULT = DataConfig()


def load(path: str | os.PathLike[str], config: DataConfig = _DEFAULT) -> Dataset:
    """Read a prepared h5ad into host memory (docs/data.md).

    Counts are read in chunks of rows into the narrowest unsigned integer type.

    Raises:
      DataError: the file is missing, is not an h5ad, or lacks a field of a prepared file.
    """
    adata = read_h5ad(path, backed=True)
    try:
        return from_anndata(adata, config)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:  # from the disk, or from HDF5 for a block that it cannot unpack
        raise DataError(f"{path}: cannot be read to its end: {first_line(error)}") from error
    finally:
        adata.file.close()


def read_conventions(path: str | os.PathLike[str]) -> Conventions:
    """Read only the naming conventions of a prepared h5ad, not its counts (raises DataError)."""
    adata = read_h5ad(path, backed=True)
    try:
        return _conventions(adata, read_record(adata.uns))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    finally:
        adata.file.close()


def from_anndata(adata: anndata.AnnData, config: DataConfig = _DEFAULT) -> Dataset:
    """Build a Dataset from a prepared AnnData, in memory or backed by its file (docs/data.md).

    Args:
      adata: what `prepare` returned, or an AnnData with the same fields.
      config: only `mask_test` is used: treatments whose dosage is set to 0.

    Raises:
      DataError: a field is missing or does not fit; the message names it.
    """
    record = read_record(adata.uns)
    cell_fields.check_fields(adata)
    require(cast(pd.DataFrame, adata.obs), record.covariates, "obs")
    cell_fields.check_names(adata, record)
    perturbed, split = cell_fields.read_perturbed(adata, record), _split(adata)
    cell_fields.check_matches(adata, perturbed.is_control, split, record.matches_elsewhere)
    names = np.array([record.separator.join(g) or record.control for g in perturbed.genes])
    true_network, true_effects = read_truth(adata.uns, record.treatments)
    dataset = from_arrays(
        qc_fail=cell_fields.quality_flags(adata),
        delta=cell_fields.read_delta(adata, record.treatments),
        counts=cell_fields.narrow_matrix(adata, "X"),
        counterfactual=cell_fields.narrow_matrix(adata, "counterfactual"),
        dosage=labels.dosage_indices(perturbed.codes, perturbed.genes, record.treatments),
        split=split,
        treatments=record.treatments,
        n_perturbed=record.n_perturbed,
        genes=tuple(adata.var_names),
        cells=np.asarray(adata.obs_names, dtype=str),
        controls=perturbed.is_control,
        cell_labels=names[perturbed.codes],
        conventions=_conventions(adata, record),
        true_network=true_network,
        true_effects=true_effects,
        covariates={name: cell_fields.text_of(adata, name) for name in record.covariates},
        config=config,
    )
    return dataclasses.replace(dataset, screen=read_screen(adata.uns[RECORD]))


def _split(adata: anndata.AnnData) -> np.ndarray:
    """Return the split of each cell, [N] text (raises DataError for any other name)."""
    split = cell_fields.text_of(adata, "split")
    unknown = set(split) - set(SPLITS)
    if unknown:
        raise DataError(
            f"split has the values {listed(unknown)}; each cell must be in 'train', 'val' or "
            "'test' in obs['split']"
        )
    return split


def _conventions(adata: anndata.AnnData, record: PreparationRecord) -> Conventions:
    key, var = record.gene_name_key, cast(pd.DataFrame, adata.var)
    return Conventions(
        control=record.control,
        separator=record.separator,
        aliases=gene_names.gene_aliases(var, key),
        symbols=tuple(gene_names.symbols(var, key)[0]),
        quality_limits=record.quality_limits,
        doublets=f"qc_{DOUBLET}" in adata.obs,
    )
