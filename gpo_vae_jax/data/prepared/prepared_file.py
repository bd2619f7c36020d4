"""The Dataset of a prepared AnnData (docs/data.md), in memory or in an h5ad file."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import anndata
import numpy as np
import pandas as pd

from gpo_vae_jax.config import DataConfig
from gpo_vae_jax.data import gene_names, labels
from gpo_vae_jax.data.counts import library_size
from gpo_vae_jax.data.dataset import SPLITS, Summary, from_arrays
from gpo_vae_jax.data.prepared import cell_fields
from gpo_vae_jax.data.prepared.cell_fields import Cells
from gpo_vae_jax.data.prepared.h5ad_access import first_line, read_h5ad
from gpo_vae_jax.data.prepared.preparation_record import (
    RECORD,
    PreparationRecord,
    read_record,
    require,
)
from gpo_vae_jax.data.prepared.screen_rows import read_screen
from gpo_vae_jax.data.prepared.simulated_truth import read_truth
from gpo_vae_jax.data.prepared.store.cell_store import StoredCells, keep_summary, opened
from gpo_vae_jax.data.prepared.store.elements import Elements, elements, is_zarr
from gpo_vae_jax.data.prepared.store.placement import placement, store_of
from gpo_vae_jax.data.quality_control import DOUBLET
from gpo_vae_jax.errors import DataError, listed
from gpo_vae_jax.types import Conventions, Dataset

_DEFAULT = DataConfig()


def load(
    path: str | os.PathLike[str], config: DataConfig = _DEFAULT, *, shown: bool = False
) -> Dataset:
    """Read a prepared h5ad or zarr into host memory, or leave its cells on disk (docs/data.md).

    Counts are read in chunks of rows into the narrowest unsigned integer type. Cells that are left
    on disk are written into a folder once; their matrices are then read as rows are asked for.

    Args:
      path: the prepared file.
      config: `mask_test`, and where the cells are kept: `cells_in`, `store`.
      shown: whether standard error shows the estimate of memory, and progress.

    Raises:
      DataError: the file is missing, is not an h5ad, or lacks a field of a prepared file; or the
        disk has no room for the cells.
    """
    place = placement(path, config)
    if shown and place is not None:
        print(place.sentence, file=sys.stderr, flush=True)
    if is_zarr(path) or (place is not None and place.on_disk):
        with elements(path) as parts:
            if place is not None and place.on_disk:
                return _on_disk(Path(path), parts, config, shown)
            record = read_record(parts.uns)
            return _dataset(parts, record, config, lambda: _in_memory(parts, record))
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
    return _dataset(adata, record, config, lambda: _in_memory(adata, record))


class _Matrices(NamedTuple):
    """The matrices of all cells, in memory or on disk."""

    delta: Any  # [N, T]
    counts: Any  # [N, G]
    counterfactual: Any  # [N, G]
    summary: Summary | None = None


def _in_memory(cells: Cells, record: PreparationRecord) -> _Matrices:
    """Read the matrices."""
    return _Matrices(
        delta=cell_fields.read_delta(cells, record.treatments),
        counts=cell_fields.narrow_matrix(cells, "X"),
        counterfactual=cell_fields.narrow_matrix(cells, "counterfactual"),
    )


def _on_disk(path: Path, cells: Elements, config: DataConfig, shown: bool) -> Dataset:
    """Build a Dataset whose matrices stay in a folder, which is written first where it must be."""
    record, folder = read_record(cells.uns), store_of(path, config)
    found: list[tuple[StoredCells, Summary]] = []

    def stored() -> _Matrices:
        on_disk = opened(folder, path, cells, record, shown=shown)
        summary = on_disk.summary or Summary(library_size(on_disk.counts))
        found.append((on_disk, summary))
        return _Matrices(on_disk.delta, on_disk.counts, on_disk.counterfactual, summary)

    dataset = _dataset(cells, record, config, stored)
    on_disk, summary = found[0]
    keep_summary(on_disk, dataset, summary.library)
    return dataset


def _dataset(
    adata: Cells,
    record: PreparationRecord,
    config: DataConfig,
    read: Callable[[], _Matrices],
) -> Dataset:
    """Build a Dataset; the matrices are read after the checks of everything else."""
    cell_fields.check_fields(adata)
    require(cast(pd.DataFrame, adata.obs), record.covariates, "obs")
    cell_fields.check_names(adata, record)
    perturbed, split = cell_fields.read_perturbed(adata, record), _split(adata)
    cell_fields.check_matches(adata, perturbed.is_control, split, record.matches_elsewhere)
    names = np.array([record.separator.join(g) or record.control for g in perturbed.genes])
    true_network, true_effects = read_truth(adata.uns, record.treatments)
    qc_fail, matrices = cell_fields.quality_flags(adata), read()
    dataset = from_arrays(
        **matrices._asdict(),
        qc_fail=qc_fail,
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


def _split(adata: Cells) -> np.ndarray:
    """Return the split of each cell, [N] text (raises DataError for any other name)."""
    split = cell_fields.text_of(adata, "split")
    unknown = set(split) - set(SPLITS)
    if unknown:
        raise DataError(
            f"split has the values {listed(unknown)}; each cell must be in 'train', 'val' or "
            "'test' in obs['split']"
        )
    return split


def _conventions(adata: Cells, record: PreparationRecord) -> Conventions:
    key, var = record.gene_name_key, cast(pd.DataFrame, adata.var)
    return Conventions(
        control=record.control,
        separator=record.separator,
        aliases=gene_names.gene_aliases(var, key),
        symbols=tuple(gene_names.symbols(var, key)[0]),
        quality_limits=record.quality_limits,
        doublets=f"qc_{DOUBLET}" in adata.obs,
    )
