"""Columns that published files already have: quality, extended genes, matched controls."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data.quality_control import DOUBLET, METRICS
from gpo_vae_jax.errors import DataError, listed

_MATCHED = re.compile(r"match.*(ctrl|control)|(ctrl|control).*(match|idx|index)", re.IGNORECASE)
_EXTENDED = re.compile(r"^FC\d+(\.\d+)?$")
_REDO = "config.prepare.recorded=nothing computes it instead"
_TRUE = {"true": 1, "1": 1, "1.0": 1, "false": 0, "0": 0, "0.0": 0}


class Recorded(NamedTuple):
    """Recorded columns of N cells."""

    metrics: dict[str, np.ndarray]  # [N] each
    doublet: np.ndarray  # [N] int8
    extended: tuple[str, ...]  # var names flagged as extended
    matched: np.ndarray | None  # [N] row of each cell's matched control; None: to be computed
    said: tuple[str, ...]  # notes on what is used


def find_recorded(
    obs: pd.DataFrame, var: pd.DataFrame, is_control: np.ndarray, config: PrepareConfig
) -> Recorded | None:
    """Return the recorded columns of a published file; None for any other file.

    A published file has every quality metric and `predicted_doublet` in obs, and a column such as
    FC3 in var. Its matches are used if all of them are control cells; otherwise all are computed.

    Raises:
      DataError: a column has the wrong type, several columns may hold matches, or obs lacks
        `config.matched_key`.
    """
    if config.matched_key and config.matched_key not in obs:
        raise DataError(
            f"config.prepare.matched_key: obs has no column {config.matched_key!r}; "
            f"there are: {listed(obs.columns) or 'none'}"
        )
    flags = [column for column in var if _EXTENDED.match(str(column))]
    complete = flags and all(name in obs for name in (*METRICS, DOUBLET))
    if config.recorded == "nothing" or not complete:
        return None
    metrics = {name: _numbers(obs, name) for name in METRICS}
    said = [f"recorded quality metrics and doublets are used: obs {', '.join((*METRICS, DOUBLET))}"]
    extended: tuple[str, ...] = ()
    if config.extended_genes != "none":
        column = f"FC{config.extended_log_fold_change:g}"
        if column not in flags:
            raise DataError(
                f"config.prepare.extended_log_fold_change: var has no column {column!r}, only "
                f"{listed(flags)}; choose one of these, or config.prepare.recorded=nothing"
            )
        flagged = _flags(var[column], f"var[{column!r}]").astype(bool)
        extended = tuple(str(name) for name in var.index[flagged])
        said.append(f"recorded extended genes are used: var[{column!r}], {len(extended)} genes")
    matched, sentence = _matches(obs, is_control, config)
    doublet = _flags(obs[DOUBLET], f"obs[{DOUBLET!r}]")
    return Recorded(metrics, doublet, extended, matched, (*said, *filter(None, [sentence])))


def matched_rows(
    values: np.ndarray, names: np.ndarray, is_control: np.ndarray
) -> tuple[np.ndarray | None, str]:
    """Convert matched controls, given as cell names or as row numbers, to rows, [N].

    If both readings are possible, the one where all matches are controls counts; cell names first.

    Returns:
      The rows, or None if neither reading leads to control cells only; and how they were read, or
      why not.
    """
    text = np.asarray(values).astype(str)
    by_name = pd.Index(names).get_indexer(pd.Index(text))
    readings = []
    if (by_name >= 0).all():
        readings.append(("cell names", by_name))
    number = pd.to_numeric(pd.Series(text), errors="coerce").to_numpy(np.float64)
    whole = np.isfinite(number) & (number == np.floor(number))
    if (whole & (number >= 0) & (number < len(names))).all():
        readings.append(("row numbers", number.astype(np.int64)))
    for how, rows in readings:
        if is_control[rows].all():
            return rows, how
    if not readings:
        example = str(text[np.argmax(by_name < 0)])
        return None, f"{example!r} and others are neither cell names nor row numbers"
    how, rows = readings[0]
    wrong = int((~is_control[rows]).sum())
    return None, f"read as {how}, {wrong} of {len(rows)} matches are not control cells"


def _matches(
    obs: pd.DataFrame, is_control: np.ndarray, config: PrepareConfig
) -> tuple[np.ndarray | None, str]:
    """Find and read the column of matched controls: rows, [N], or None, and a note."""
    columns = [config.matched_key] if config.matched_key else []
    columns = columns or [column for column in obs if _MATCHED.search(str(column))]
    if config.recorded == "all_but_matches" or not columns:
        return None, ""
    if len(columns) > 1:
        raise DataError(
            f"several obs columns may hold matched controls: {listed(columns)}; name one with "
            "config.prepare.matched_key=COLUMN"
        )
    matched, how = matched_rows(
        obs[columns[0]].to_numpy(), np.asarray(obs.index, dtype=str), is_control
    )
    if matched is None:
        return None, f"matches are computed, not taken from obs[{columns[0]!r}]: {how}"
    return matched, f"recorded matches are used: obs[{columns[0]!r}], read as {how}"


def _numbers(obs: pd.DataFrame, name: str) -> np.ndarray:
    try:
        values = pd.to_numeric(obs[name]).to_numpy(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"obs[{name!r}] is not numeric: {error}; {_REDO}") from error
    if not np.isfinite(values).all():
        raise DataError(f"obs[{name!r}] has missing or infinite values; {_REDO}")
    return values


def _flags(column: pd.Series, where: str) -> np.ndarray:
    """Convert a column of booleans, in any spelling, to 1 and 0, [N] int8."""
    values = column.astype(str).str.lower().map(_TRUE)
    if values.isna().any():
        example = column[values.isna()].iloc[0]
        raise DataError(f"{where} has the value {str(example)!r}, not true or false; {_REDO}")
    return values.to_numpy(np.int8)
