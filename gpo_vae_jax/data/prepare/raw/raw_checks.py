"""Checks of the raw input, before any work."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import anndata
import numpy as np
import pandas as pd

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.config_io import meant
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.backend import choose_backend
from gpo_vae_jax.data.dataset import SPLITS
from gpo_vae_jax.data.prepare.raw.conventions import CONVENTIONS
from gpo_vae_jax.data.prepare.raw.perturbed_genes import Perturbations, read_perturbations
from gpo_vae_jax.data.prepare.raw.published_columns import Recorded, find_recorded
from gpo_vae_jax.data.prepare.raw.strong_table import read_strong
from gpo_vae_jax.errors import DataError, listed

_LIKE_CONTROL = re.compile(
    r"non.?target|ctrl|control|scramble|safe|unperturbed|^neg|^nt\d*$|^wt$|^none$", re.IGNORECASE
)
_DRAW = "config.prepare.split_key= (empty) draws new splits"
_SAMPLE = 200  # cells inspected to suggest where the raw counts are
_DEFAULT_SPLIT = PrepareConfig.split_key


class Raw(NamedTuple):
    """Raw input that passed the checks."""

    counts: count_matrix.CountMatrix  # [N, G]; may be on disk
    obs: pd.DataFrame
    var: pd.DataFrame
    cells: Perturbations
    split: np.ndarray | None  # [N] the split column of the input, if any
    recorded: Recorded | None  # columns of a published file
    strong: tuple[str, ...] | None  # strong perturbations, if a table is used

    @property
    def genes(self) -> list[str]:
        """Return the G gene names."""
        return [str(gene) for gene in self.var.index]


def check_raw(adata: anndata.AnnData, config: PrepareConfig) -> Raw:
    """Check that the input can be prepared, and parse its annotation.

    Raises:
      DataError: the matrix is empty, names are not unique, a column, layer or the control label is
        missing, or values are not counts. The message says what the input has instead.
    """
    choose_backend(config.backend)
    counts, var, where = _source(adata, config)
    if counts.shape[0] == 0 or counts.shape[1] == 0:
        raise DataError(f"the matrix is empty: {counts.shape[0]} cells x {counts.shape[1]} genes")
    for what, names in (("cell", adata.obs_names), ("gene", var.index)):
        repeated = names[names.duplicated()]
        if len(repeated):
            raise DataError(
                f"{what} names are not unique: {listed(set(repeated), 5)}; call "
                f"adata.{'obs' if what == 'cell' else 'var'}_names_make_unique(), for example"
            )
    obs = cast(pd.DataFrame, adata.obs)
    labels = _labels(obs, config)
    split = _split(obs, config)
    if config.scrublet == "batch":
        _column(obs, config.batch_key, "batch_key")
    cells = read_perturbations(labels.to_numpy(dtype=str), obs, var, config)
    recorded = find_recorded(obs, var, cells.is_control, config)
    strong = read_strong(config) if config.strong_table and not recorded else None
    try:  # last, as it reads the whole matrix
        count_matrix.check_counts(counts, where)
    except DataError as error:
        raise DataError(f"{error}{_elsewhere(adata, where)}") from error
    return Raw(counts, obs, var, cells, split, recorded, strong)


def check_splits(split: np.ndarray, cells: Perturbations, rows: np.ndarray) -> dict[str, list[str]]:
    """Check that every split has control cells, and every perturbation training cells.

    Args:
      split: [N] the split of each chosen cell.
      cells: the perturbations of the input.
      rows: [N] the chosen rows of the input.

    Returns:
      The perturbations without cells in "val" and in "test": they are not measured there.

    Raises:
      DataError: a split is empty or has no controls, or a perturbation has no training cells.
    """
    code, control = cells.code[rows], cells.is_control[rows]
    for name in SPLITS:
        here = split == name
        if not here.any():
            raise DataError(f"the split {name!r} has no cells ({len(rows)} in all)")
        if not (here & control).any():
            raise DataError(f"the split {name!r} has no control cells ({control.sum()} in all)")
    absent = {
        name: ["+".join(cells.genes[c]) for c in np.setdiff1d(code, code[split == name])]
        for name in SPLITS
    }
    if absent["train"]:
        raise DataError(
            f"perturbations without training cells: {listed(absent['train'])}; "
            "config.prepare.min_cells=N drops rare perturbations"
        )
    return {name: absent[name] for name in ("val", "test") if absent[name]}


def _source(
    adata: anndata.AnnData, config: PrepareConfig
) -> tuple[count_matrix.CountMatrix, pd.DataFrame, str]:
    """Return the matrix of raw counts, its genes, and its name for messages."""
    var = cast(pd.DataFrame, adata.var)
    if config.use_raw:
        if adata.raw is None:
            raise DataError("config.prepare.use_raw: the AnnData has no raw")
        return adata.raw.X, cast(pd.DataFrame, adata.raw.var), "raw.X"
    if config.layer:
        if config.layer not in adata.layers:
            raise DataError(
                f"config.prepare.layer: there is no layer {config.layer!r}; "
                f"{meant(config.layer, list(adata.layers)) if adata.layers else 'there are none'}"
            )
        return adata.layers[config.layer], var, f"layer {config.layer!r}"
    if adata.X is None:
        raise DataError("the AnnData has no X; name a layer in config.prepare.layer")
    return adata.X, var, "X"


def _labels(obs: pd.DataFrame, config: PrepareConfig) -> pd.Series:
    """Return the perturbation column as text, after checking that it has control cells."""
    key, control = config.perturbation_key, config.control
    labels = _text(obs, key, "perturbation_key")
    empty = int((labels.str.strip() == "").sum())
    if empty:
        raise DataError(f"obs[{key!r}] is empty in {empty} cells; remove them or label them")
    distinct = labels.unique()
    separator = config.combination_separator
    controls = {
        label for label in distinct
        if label == control or (separator and set(label.split(separator)) == {control})
    }  # fmt: skip
    if not controls:
        raise DataError(
            f"obs[{key!r}] has no control cells {control!r}; {_alike(distinct)}; "
            f"config.prepare.control=LABEL names the control{_known_columns(obs, key)}"
        )
    return labels


def _split(obs: pd.DataFrame, config: PrepareConfig) -> np.ndarray | None:
    """Return the split column as text, [N]; None if there is none."""
    key = config.split_key
    if not key or (key == _DEFAULT_SPLIT and key not in obs):
        return None
    split = _text(obs, key, "split_key", f"; {_DRAW}")
    unknown = set(split.unique()) - set(SPLITS)
    if unknown:
        raise DataError(
            f"obs[{key!r}] has the values {listed(unknown)}; each cell must be in "
            f"'train', 'val' or 'test'; {_DRAW}"
        )
    return split.to_numpy(dtype=str)


def _column(obs: pd.DataFrame, key: str, setting: str, advice: str = "") -> pd.Series:
    """Return an obs column after checking that it has a value for every cell."""
    if key not in obs:
        if setting == "perturbation_key":
            advice = _known_columns(obs)
        raise DataError(
            f"config.prepare.{setting}: obs has no column {key!r}; "
            f"there are: {listed(obs.columns) or 'none'}{advice}"
        )
    missing = int(obs[key].isna().sum())
    if missing:
        raise DataError(
            f"obs[{key!r}] is missing in {missing} cells; remove them or label them{advice}"
        )
    return obs[key]


def _text(obs: pd.DataFrame, key: str, setting: str, advice: str = "") -> pd.Series:
    """Return an obs column of names as text; numbers and booleans are refused."""
    column = _column(obs, key, setting, advice)
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    if pd.api.types.is_numeric_dtype(values.dtype):  # booleans are numeric too
        raise DataError(f"obs[{key!r}] has numbers, not names{advice}")
    return column.astype(str)


def _alike(labels: Iterable[str]) -> str:
    """Describe the labels that look like a control."""
    alike = sorted({str(label) for label in labels if _LIKE_CONTROL.search(str(label))})
    return f"labels that look like one: {listed(alike)}" if alike else "no label looks like one"


def _known_columns(obs: pd.DataFrame, besides: str = "") -> str:
    """Describe the other columns that usually name perturbations, and their control labels."""
    keys = [key for key in dict.fromkeys(known[0] for known in CONVENTIONS) if key in obs]
    said = [f"obs[{key!r}] ({_alike(obs[key].unique())})" for key in keys if key != besides]
    return f"; perturbations may be in {' or '.join(said)}" if said else ""


def _elsewhere(adata: anndata.AnnData, where: str) -> str:
    """Describe the other matrices of the input that look like raw counts."""
    places: dict[str, Any] = {
        f"config.prepare.layer={name}": adata.layers[name] for name in adata.layers
    }
    if adata.raw is not None:
        places["config.prepare.use_raw=True"] = adata.raw.X
    if where != "X" and adata.X is not None:
        places["config.prepare.layer= (X)"] = adata.X
    fits = []
    for setting, matrix in places.items():
        try:
            sample = count_matrix.dense_rows(matrix, slice(0, _SAMPLE))
            count_matrix.check_values(sample, setting)
        except DataError:
            continue
        if sample.any():
            fits.append(setting)
    return f"; whole numbers are found with {' or '.join(fits)}" if fits else ""
