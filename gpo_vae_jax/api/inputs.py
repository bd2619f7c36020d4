"""Data sets of the public face: simulated, prepared, and as arrays."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata

from gpo_vae_jax import config_io, presets
from gpo_vae_jax import progress as progress_of
from gpo_vae_jax.config import Config, DataConfig, PrepareConfig
from gpo_vae_jax.data import from_anndata, from_mudata, open_raw
from gpo_vae_jax.data import load as load_prepared
from gpo_vae_jax.data import prepare as prepare_anndata
from gpo_vae_jax.data import simulate as simulate_anndata
from gpo_vae_jax.types import Dataset

AnyPath = str | os.PathLike[str]
Raw = anndata.AnnData | AnyPath | Sequence[AnyPath] | Any  # Any: a MuData, of an optional package
Prepared = anndata.AnnData | Dataset | AnyPath


def simulate(**settings: Any) -> anndata.AnnData:
    """Simulate raw Perturb-seq counts whose gene regulatory network is known.

    Args:
      settings: fields of `config.SimulateConfig`, such as n_cells=6000, n_genes=120, seed=0.

    Returns:
      UMI counts [N, G] with `obs["perturbation"]`; the true network is in `uns["gpo_vae_truth"]`.

    Raises:
      ConfigError: a setting is unknown or out of range.
    """
    return simulate_anndata(config_io.from_dict({"simulate": settings}).simulate)


def prepare(
    adata: Raw,
    config: PrepareConfig | Config | None = None,
    *,
    perturbation_key: str | None = None,
    control: str | Sequence[str] | None = None,
    progress: bool = True,
    **settings: Any,
) -> anndata.AnnData:
    """Turn raw counts into a prepared data set: quality control, splits, matched controls, deltas.

    The input is left as it is. What was done, and how many cells each stage kept, stands in
    `uns["gpo_vae"]` of the result (docs/data.md).

    Args:
      adata: raw UMI counts [N, G] in X (or a layer: `layer="counts"`), with a column of `obs` that
        names each cell's perturbation. It may be backed by its file, be a MuData, or be the path of
        a raw file, or of several, of any usual format (docs/data.md, Files).
      config: settings of the preparation; by default those of `presets.anndata()`.
      perturbation_key: the column of `obs`. By default the usual names are tried.
      control: the label of control cells in that column, or a pattern such as "NT-*", or several.
      progress: whether the stages are reported on standard error.
      settings: further fields of `config.PrepareConfig`, such as min_cells=100.

    Returns:
      The kept cells, ready for `train`.

    Raises:
      ConfigError: a setting is unknown or out of range.
      DataError: the input cannot be used; the message names the column, the value and the fix.
    """
    start = presets.anndata().prepare if config is None else config
    start = start.prepare if isinstance(start, Config) else start
    named: dict[str, Any] = {"perturbation_key": perturbation_key}
    if isinstance(control, str) or control is None:
        named["control"] = control
    else:
        named |= {"control": control[0], "more_controls": tuple(control[1:])}
    changed = {name: value for name, value in named.items() if value is not None} | settings
    merged = {**dataclasses.asdict(start), **changed}
    chosen = config_io.from_dict({"prepare": merged}).prepare
    guess = config is None
    say = progress_of.stages(progress)
    if isinstance(adata, anndata.AnnData):
        return prepare_anndata(adata, chosen, say, guess=guess)
    if hasattr(adata, "mod"):
        genes, said = from_mudata(adata)
        return prepare_anndata(genes, chosen, say, guess=guess, said=said)
    paths = [adata] if isinstance(adata, (str, os.PathLike)) else list(adata)
    with open_raw([Path(path) for path in paths]) as raw:
        return prepare_anndata(raw.adata, chosen, say, guess=guess, said=raw.said)


def dataset(
    prepared: Prepared, config: DataConfig | None = None, *, progress: bool = False
) -> Dataset:
    """Return the arrays that training and evaluation read, made once for repeated use.

    Args:
      prepared: what `prepare` returned, or the path of a prepared h5ad file.
      config: `mask_test` hides the dosage of some treatments (ablation); `cells_in` says whether
        the cells of a file stay on disk.
      progress: whether standard error shows the estimate of memory, and progress.

    Raises:
      DataError: the data is not as `prepare` leaves it.
    """
    if isinstance(prepared, Dataset):
        return prepared
    config = DataConfig() if config is None else config
    if isinstance(prepared, anndata.AnnData):
        return from_anndata(prepared, config)
    return load_prepared(prepared, config, shown=progress)
