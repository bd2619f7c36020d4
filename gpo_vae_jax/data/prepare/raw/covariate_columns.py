"""The obs columns of categorical covariates, checked before any work."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data.dataset import SPLITS
from gpo_vae_jax.data.prepare.stage_log import Log
from gpo_vae_jax.errors import DataError, counted, listed

_MOST = 500  # categories of one covariate: more are probably names or numbers of single cells


def covariate_columns(obs: pd.DataFrame, config: PrepareConfig) -> dict[str, np.ndarray]:
    """Return the category of each cell as text, [N], by column: the batch first, then the others.

    Raises:
      DataError: a column is missing, is the perturbation, lacks values, has numbers with fractions
        or a category for nearly every cell.
    """
    names = [name for name in (config.batch_key, *config.covariates) if name]
    return {name: _categories(obs, name, config) for name in dict.fromkeys(names)}


def note_categories(
    covariates: dict[str, np.ndarray], split: np.ndarray, is_control: np.ndarray, log: Log
) -> None:
    """Note covariates of one category, and categories without training or control cells.

    Args:
      covariates: by column, the category of each of N cells.
      split: [N].
      is_control: [N] bool.
      log: takes the notes.
    """
    for name, category in covariates.items():
        every = np.unique(category)
        if len(every) == 1:
            log.note(f"obs[{name!r}] has the one category {str(every[0])!r}, which changes nothing")
        untrained = set(every) - set(category[split == SPLITS[0]])
        if untrained:
            log.note(
                f"no training cells are in these categories of obs[{name!r}], which are taken for "
                f"average ones: {listed(untrained, 3)}"
            )
        bare = set(every) - set(category[is_control]) - untrained
        if bare:
            log.note(
                f"no control cells are in these categories of obs[{name!r}], whose cells are "
                f"compared with all controls: {listed(bare, 3)}"
            )


def _categories(obs: pd.DataFrame, name: str, config: PrepareConfig) -> np.ndarray:
    setting = "batch_key" if name == config.batch_key else "covariates"
    if name not in obs:
        raise DataError(
            f"config.prepare.{setting}={name!r} is no obs column; there are: {listed(obs.columns)}"
        )
    if name == config.perturbation_key:
        raise DataError(f"config.prepare.{setting}={name!r} is the column of perturbations")
    column = obs[name]
    missing = int(column.isna().sum())
    if missing:
        raise DataError(
            f"obs[{name!r}] has no value for {counted(missing, 'cell')}; name their category, such "
            f"as 'unknown', or leave config.prepare.{setting} unset"
        )
    values = column.to_numpy()
    if np.issubdtype(values.dtype, np.floating) and (values != np.round(values)).any():
        raise DataError(
            f"obs[{name!r}] has numbers with fractions, such as "
            f"{values[values != np.round(values)][0]}, and config.prepare.{setting} takes "
            "categories; cut them into bins first"
        )
    text = column.astype(str).str.strip().to_numpy(dtype=str)
    n = len(np.unique(text))
    if n > _MOST:
        raise DataError(
            f"obs[{name!r}] has {n:,} categories in {len(text):,} cells; config.prepare.{setting} "
            f"takes a column with at most {_MOST}"
        )
    return text
