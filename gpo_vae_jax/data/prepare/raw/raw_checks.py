"""Checks of the raw input, before any work."""

from __future__ import annotations

import re
from typing import NamedTuple

import anndata
import numpy as np
import pandas as pd

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import gene_names
from gpo_vae_jax.data.backend import choose_backend
from gpo_vae_jax.data.dataset import SPLITS
from gpo_vae_jax.data.prepare.held_out import RULES as HELD_OUT_RULES
from gpo_vae_jax.data.prepare.raw.conventions import GUIDE_COLUMNS, known_columns
from gpo_vae_jax.data.prepare.raw.count_source import (
    CountSource,
    find_counts,
    only_genes,
    summed,
    suspicion,
    var_of_counts,
)
from gpo_vae_jax.data.prepare.raw.covariate_columns import covariate_columns
from gpo_vae_jax.data.prepare.raw.features import find_genes, repeated_note, sums_of
from gpo_vae_jax.data.prepare.raw.perturbed_genes import Perturbations, read_perturbations
from gpo_vae_jax.data.prepare.raw.published_columns import Recorded, find_recorded
from gpo_vae_jax.data.prepare.raw.strong_table import read_strong
from gpo_vae_jax.errors import DataError, listed

_SPLIT_WORD = re.compile(r"^(?:train(?:ing)?|val(?:id|idation)?|test(?:ing)?|hold.?out)$", re.I)
_DRAW = "config.prepare.split_key= (empty) draws new splits"
_DEFAULT_SPLIT = PrepareConfig.split_key


class Raw(NamedTuple):
    """Raw input that passed the checks."""

    counts: CountSource  # of N cells and G genes; may be on disk
    obs: pd.DataFrame
    text: np.ndarray  # [N] the labels as they are in obs
    var: pd.DataFrame  # G rows
    cells: Perturbations
    guide: np.ndarray | None  # [N] the guide of each cell, where the input tells guides apart
    split: np.ndarray | None  # [N] the split column of the input, if any
    recorded: Recorded | None  # columns of a published file
    strong: tuple[str, ...] | None  # strong perturbations, if a table is used
    covariates: dict[str, np.ndarray]  # by obs column, the category of each cell, [N]
    said: tuple[str, ...]  # notes

    @property
    def genes(self) -> list[str]:
        """Return the G gene names."""
        return [str(gene) for gene in self.var.index]


def check_raw(adata: anndata.AnnData, config: PrepareConfig, obs: pd.DataFrame) -> Raw:
    """Check that the input can be prepared, and parse its annotation.

    Args:
      adata: raw counts.
      config: every setting of the preparation.
      obs: annotation of the cells: that of the AnnData, perhaps with assigned guides.

    Raises:
      DataError: the matrix is empty, names are not unique, a column, layer or the control label is
        missing, or values are not counts. The message says what the input has instead.
    """
    choose_backend(config.backend)
    repeated = adata.obs_names[adata.obs_names.duplicated()]
    if len(repeated):
        raise DataError(
            f"cell names are not unique: {listed(set(repeated), 5)}; call "
            "adata.obs_names_make_unique(), for example"
        )
    if not adata.n_obs:
        raise DataError(f"the matrix is empty: 0 cells x {adata.n_vars} genes")
    text = _labels(obs, config)
    split, split_note = _split(obs, config)
    covariates = covariate_columns(obs, config)
    var = var_of_counts(adata, config)
    features = find_genes(var)
    cells = read_perturbations(text, obs, features.var, config, adata.uns)
    source, var_found, counts_note = find_counts(adata, config)  # reads the whole matrix
    if var_found is not var:
        features = find_genes(var_found)
        cells = read_perturbations(text, obs, features.var, config, adata.uns)
    source, var = only_genes(source, features.genes), features.var
    perturbed = {gene for group in cells.genes for gene in group}
    sums = sums_of(features, cells.spelled, perturbed)
    if sums:
        groups, var, _ = sums
        source = summed(source, groups)
    recorded = find_recorded(obs, var, cells.is_control, config)
    strong = read_strong(config) if config.strong_table and not recorded else None
    doubtful = suspicion(source) if config.counts == "whole" and not recorded else ""
    shared = repeated_note(features, sums[2] if sums else ())
    notes = (split_note, counts_note, doubtful, *features.said, shared, *cells.said)
    said = tuple(note for note in notes if note)
    guide = _guides(obs, text, cells, config)
    return Raw(source, obs, text, var, cells, guide, split, recorded, strong, covariates, said)


def _labels(obs: pd.DataFrame, config: PrepareConfig) -> np.ndarray:
    """Return the perturbation column as text, [N]; "" where a cell has no label."""
    key = config.perturbation_key
    _column_exists(obs, key, "perturbation_key")
    column = obs[key]
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    if pd.api.types.is_bool_dtype(values.dtype):
        raise DataError(f"obs[{key!r}] has true and false, not names")
    if pd.api.types.is_numeric_dtype(values.dtype) and not config.label_table:
        raise DataError(
            f"obs[{key!r}] has numbers, not names; config.prepare.label_table=FILE names a csv "
            "with each number and its gene"
        )
    text = np.array(gene_names.as_text(column.astype(object).where(column.notna(), "")))
    return text.astype(str)


def _guides(
    obs: pd.DataFrame, text: np.ndarray, cells: Perturbations, config: PrepareConfig
) -> np.ndarray | None:
    """Return the guide of each cell, [N] text: of a column of guides, or the labels themselves."""
    if config.guide_key:
        _column_exists(obs, config.guide_key, "guide_key")
    elif cells.guides:
        return np.char.strip(text)
    usual = [name for name in obs if str(name).lower() in GUIDE_COLUMNS]
    for column in [config.guide_key] if config.guide_key else usual:
        if config.guide_key or not pd.api.types.is_numeric_dtype(obs[column].dtype):
            return obs[column].astype(object).where(obs[column].notna(), "").to_numpy(dtype=str)
    return None


def _split(obs: pd.DataFrame, config: PrepareConfig) -> tuple[np.ndarray | None, str]:
    """Return the split column as text, [N], and a note; None if there is none."""
    key = config.split_key
    if not key or (key == _DEFAULT_SPLIT and key not in obs):
        return None, ""
    distinct = {str(value) for value in obs[key].dropna().unique()} if key in obs else set()
    if key == _DEFAULT_SPLIT and not any(_SPLIT_WORD.match(value.strip()) for value in distinct):
        return None, (
            f"obs[{key!r}] has {listed(distinct, 3) or 'nothing'}, not train, val and test: "
            "new splits are drawn"
        )
    if key == _DEFAULT_SPLIT and config.split in HELD_OUT_RULES:
        return None, (
            f"obs[{key!r}] is not used: config.prepare.split={config.split} holds out perturbations"
        )
    split = _text(obs, key, "split_key", f"; {_DRAW}")
    unknown = set(split.unique()) - set(SPLITS)
    if unknown:
        raise DataError(
            f"obs[{key!r}] has the values {listed(unknown)}; each cell must be in "
            f"'train', 'val' or 'test'; {_DRAW}"
        )
    return split.to_numpy(dtype=str), ""


def _column(obs: pd.DataFrame, key: str, setting: str, advice: str = "") -> pd.Series:
    """Return an obs column after checking that it has a value for every cell."""
    _column_exists(obs, key, setting)
    missing = int(obs[key].isna().sum())
    if missing:
        raise DataError(
            f"obs[{key!r}] is missing in {missing} cells; remove them or label them{advice}"
        )
    return obs[key]


def _column_exists(obs: pd.DataFrame, key: str, setting: str) -> None:
    if key not in obs:
        advice = known_columns(obs) if setting == "perturbation_key" else ""
        raise DataError(
            f"config.prepare.{setting}: obs has no column {key!r}; "
            f"there are: {listed(obs.columns) or 'none'}{advice}"
        )


def _text(obs: pd.DataFrame, key: str, setting: str, advice: str = "") -> pd.Series:
    """Return an obs column of names as text; numbers and booleans are refused."""
    column = _column(obs, key, setting, advice)
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    if pd.api.types.is_numeric_dtype(values.dtype):  # booleans are numeric too
        raise DataError(f"obs[{key!r}] has numbers, not names{advice}")
    return column.astype(str)
