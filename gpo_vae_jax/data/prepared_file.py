"""The prepared AnnData (docs/data.md), in memory or in an h5ad file, and the Dataset in it."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import anndata
import numpy as np
import pandas as pd

from gpo_vae_jax.config import DataConfig
from gpo_vae_jax.data import gene_names, labels
from gpo_vae_jax.data.dataset import from_arrays, truth_among
from gpo_vae_jax.data.prepare.screen_rows import read_screen
from gpo_vae_jax.data.quality_control import DOUBLET
from gpo_vae_jax.errors import DataError, listed
from gpo_vae_jax.files import written_beside
from gpo_vae_jax.types import Conventions, Dataset

FORMAT_VERSION = 1
RECORD = "gpo_vae"  # uns entry: how the data was prepared
TRUTH = "gpo_vae_truth"  # uns entry: the true network of simulated data
_DEFAULT = DataConfig()
_ADVICE = "prepare the raw counts first: gpo-vae prepare, or gpo_vae_jax.prepare(adata)"
_RECORD_FIELDS = ("dosage_names", "n_perturbed", "format_version", "separator", "control")


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
    finally:
        adata.file.close()


def read_h5ad(path: str | os.PathLike[str], backed: bool = False) -> anndata.AnnData:
    """Open an h5ad file; `backed` leaves X on disk.

    Raises DataError if the file is missing or cannot be read.
    """
    if not Path(path).is_file():
        raise DataError(f"there is no file {str(path)!r}")
    try:
        with warnings.catch_warnings():  # duplicate names are an error of ours, later
            warnings.filterwarnings("ignore", "(Observation|Variable) names are not unique")
            return anndata.read_h5ad(path, backed="r" if backed else None)
    except Exception as error:  # h5py and anndata raise many kinds
        raise DataError(
            f"{str(path)!r} cannot be read as an h5ad file: {_first_line(error)}"
        ) from error


def read_conventions(path: str | os.PathLike[str]) -> Conventions:
    """Read only the naming conventions of a prepared h5ad, not its counts (raises DataError)."""
    adata = read_h5ad(path, backed=True)
    try:
        return _conventions(adata, _record(adata))
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
    record = _record(adata)
    obs = cast(pd.DataFrame, adata.obs)
    _has(obs, ("perturbation", "split", "qc_fail", "matched_control"), "obs", adata.obsm)
    _has(adata.layers, ("counterfactual",), "layers")
    _has(adata.obsm, ("delta_x",), "obsm")
    for what, names in (("cell", adata.obs_names), ("gene", adata.var_names)):
        if not names.is_unique:
            example = names[names.duplicated()][0]
            raise DataError(f"{what} names are not unique, such as {example!r}")
    treatments = [str(name) for name in record["dosage_names"]]
    control, separator = str(record["control"]), str(record["separator"])
    missing = obs["perturbation"].isna() | obs["split"].isna()
    if missing.any():
        raise DataError(f"{int(missing.sum())} cells have no perturbation or split in obs")
    names, codes = labels.group_by_label(obs["perturbation"].to_numpy())
    genes_of_label = [labels.perturbed_genes(name, control, separator) for name in names]
    beyond = {g for genes in genes_of_label for g in genes} & set(
        treatments[int(record["n_perturbed"]) :]
    )
    if beyond:
        raise DataError(
            f"cells carry perturbations beyond uns[{RECORD!r}]['n_perturbed']: {listed(beyond)}; "
            f"{_ADVICE}"
        )
    is_control = np.array([not genes for genes in genes_of_label])[codes]
    dosage = labels.dosage_indices(codes, genes_of_label, treatments)
    _check_matches(adata, is_control)
    truth = adata.uns.get(TRUTH)
    dataset = from_arrays(
        counts=adata.X,
        dosage=dosage,
        qc_fail=_qc_fail(adata),
        counterfactual=adata.layers["counterfactual"],
        delta=np.asarray(adata.obsm["delta_x"]),
        split=obs["split"].to_numpy(),
        treatments=treatments,
        n_perturbed=int(record["n_perturbed"]),
        genes=tuple(adata.var_names),
        cells=np.asarray(adata.obs_names, dtype=str),
        controls=is_control,
        cell_labels=np.array([separator.join(g) or control for g in genes_of_label])[codes],
        conventions=_conventions(adata, record),
        true_network=None if truth is None else truth_among(treatments, truth),
        true_effects=None if truth is None else _true_effects(truth),
        config=config,
    )
    return dataclasses.replace(dataset, screen=read_screen(record))


def write(adata: anndata.AnnData, path: str | os.PathLike[str]) -> None:
    """Write an h5ad atomically: next to `path` first, then renamed.

    Raises DataError if the folder is missing, the disk is full, or a value cannot be stored.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise DataError(f"the folder {str(path.parent)!r} of the output does not exist")
    try:
        with written_beside(path) as part:
            adata.write_h5ad(
                part, compression="gzip", compression_opts=1, convert_strings_to_categoricals=False
            )
    except Exception as error:  # from the disk, or from anndata for a value it cannot store
        full = getattr(error, "errno", 0) == errno.ENOSPC or "No space left" in str(error)
        reason = "the disk is full" if full else _first_line(error)
        raise DataError(f"{str(path)!r} cannot be written: {reason}") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _record(adata: anndata.AnnData) -> Mapping[str, Any]:
    if RECORD not in adata.uns:
        raise DataError(f"this data is not prepared: uns[{RECORD!r}] is missing; {_ADVICE}")
    record = adata.uns[RECORD]
    _has(record, _RECORD_FIELDS, f"uns[{RECORD!r}]")
    version = int(record["format_version"])
    if version != FORMAT_VERSION:
        raise DataError(
            f"the data has format version {version}, and this version reads {FORMAT_VERSION}; "
            f"{_ADVICE}"
        )
    return record


def _has(
    group: Mapping[str, Any] | pd.DataFrame,
    names: Sequence[str],
    where: str,
    instead: Collection[str] = (),
) -> None:
    missing = [name for name in names if name not in group and name not in instead]
    if missing:
        have = listed(group.keys()) or "nothing"
        raise DataError(f"{where} lacks {', '.join(missing)} (it has: {have}); {_ADVICE}")


def _conventions(adata: anndata.AnnData, record: Mapping[str, Any]) -> Conventions:
    settings = json.loads(record["settings"]) if "settings" in record else {}
    limits = json.loads(record["thresholds"]) if "thresholds" in record else {}
    key, var = settings.get("gene_name_key", ""), cast(pd.DataFrame, adata.var)
    return Conventions(
        control=str(record["control"]),
        separator=str(record["separator"]),
        aliases=gene_names.gene_aliases(var, key),
        symbols=tuple(gene_names.symbols(var, key)[0]),
        quality_limits=limits,
        doublets=f"qc_{DOUBLET}" in adata.obs,
    )


def _true_effects(truth: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    if "labels" not in truth:
        return None
    return {str(k): np.asarray(v) for k, v in zip(truth["labels"], truth["effects"], strict=True)}


def _qc_fail(adata: anndata.AnnData) -> np.ndarray:
    """Return the quality columns, [N, Q]: obsm['qc_fail'] if present, else obs['qc_fail']."""
    values = adata.obsm["qc_fail"] if "qc_fail" in adata.obsm else adata.obs["qc_fail"]
    try:
        values = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"qc_fail must hold 0 (passed) and 1 (failed): {error}") from error
    return values.reshape(adata.n_obs, -1)


def _check_matches(adata: anndata.AnnData, is_control: np.ndarray) -> None:
    """Raise DataError unless every matched control is the name of a control cell."""
    at = adata.obs_names.get_indexer(pd.Index(adata.obs["matched_control"].astype(str)))
    problem = ""
    if (at < 0).any():
        name = adata.obs["matched_control"].iloc[int(np.argmax(at < 0))]
        problem = f"names {name!r}, which is not a cell"
    elif not is_control[at].all():
        problem = f"names {adata.obs_names[at[~is_control[at]][0]]!r}, which is not a control cell"
    if problem:
        raise DataError(f"obs['matched_control'] {problem}; {_ADVICE}")
