"""Strong perturbations, read from a summary table of the screen (docs/data.md)."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.config_io import meant
from gpo_vae_jax.errors import DataError, listed

NAME = "genetic perturbation"
DEGS = "Number of DEGs (anderson-darling)"
KNOCKDOWN = "percent knockdown"
CELLS = "number of cells (filtered)"
_SETTING = "config.prepare.strong_table"
_ADVICE = (
    "`gpo-vae download summary_stats` gets that of Replogle 2022; name another file, or set "
    "config.prepare.strong_table= (empty) to keep all perturbations"
)


class PerturbationSummary(NamedTuple):
    """Summary statistics of M perturbations; nan where the table has no value."""

    names: np.ndarray  # [M] text
    degs: np.ndarray  # [M] differentially expressed genes (anderson-darling)
    knockdown: np.ndarray  # [M] change of the target's expression, -1 = all lost
    cells: np.ndarray  # [M] cells that passed filters


def strong_perturbations(
    summary: PerturbationSummary, *, min_degs: int, max_knockdown: float, min_cells: int
) -> tuple[str, ...]:
    """Return the distinct strong perturbations, sorted.

    A strong perturbation has more than `min_degs` changed genes, a change of its target of at most
    `max_knockdown`, and more than `min_cells` cells. nan is not strong.
    """
    strong = (
        (summary.degs > min_degs)
        & (summary.knockdown <= max_knockdown)
        & (summary.cells > min_cells)
    )
    return tuple(sorted({str(name) for name in summary.names[strong]}))


def read_summary(path: str | os.PathLike[str], sheet: str, names: str) -> PerturbationSummary:
    """Read a summary table from an xlsx, csv or tsv file.

    Args:
      path: of the file.
      sheet: of an xlsx; may be empty if there is only one.
      names: where the column "genetic perturbation" has the name of the gene: the "second_field"
        between "_", or the "whole" value.

    Raises:
      DataError: the file, the sheet or a column is missing, or a column is not numeric.
    """
    table = _read(Path(path), sheet)
    missing = [name for name in (NAME, DEGS, KNOCKDOWN, CELLS) if name not in table]
    if missing:
        raise DataError(
            f"{_SETTING}: {str(path)!r} lacks the columns {listed(missing)}; "
            f"it has: {listed(table.columns, 20) or 'none'}"
        )
    table = table[table[NAME].notna()]
    values = []
    for name in (DEGS, KNOCKDOWN, CELLS):
        try:
            values.append(pd.to_numeric(table[name]).to_numpy(np.float64))
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{_SETTING}: column {name!r} of {str(path)!r} is not numeric: {error}"
            ) from error
    return PerturbationSummary(_gene_names(table[NAME].astype(str), str(path), names), *values)


def read_strong(config: PrepareConfig) -> tuple[str, ...]:
    """Return the strong perturbations of the configured table (raises DataError)."""
    return strong_perturbations(
        read_summary(config.strong_table, config.strong_sheet, config.strong_names),
        min_degs=config.strong_min_degs,
        max_knockdown=config.strong_max_knockdown,
        min_cells=config.strong_min_cells,
    )


def _gene_names(labels: pd.Series, path: str, names: str) -> np.ndarray:
    if names == "whole":
        return np.array(labels, dtype=str)
    fields = [label.split("_") for label in labels]
    short = [label for label, parts in zip(labels, fields, strict=True) if len(parts) < 2]
    if short:
        raise DataError(
            f"{_SETTING}: {path!r} names perturbations without a second '_' field: "
            f"{listed(short, 5)}; config.prepare.strong_names=whole takes the whole name"
        )
    return np.array([parts[1] for parts in fields], dtype=str)


def _read(path: Path, sheet: str) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"{_SETTING}: there is no file {str(path)!r}; {_ADVICE}")
    try:
        if path.suffix.lower() not in (".xlsx", ".xlsm"):
            return pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl, about styles
            with pd.ExcelFile(path, engine="openpyxl") as book:
                sheets = list(map(str, book.sheet_names))
                if (sheet and sheet not in sheets) or (not sheet and len(sheets) > 1):
                    raise DataError(
                        f"config.prepare.strong_sheet: {str(path)!r} has no sheet {sheet!r}; "
                        f"{meant(sheet, sheets)}"
                    )
                return book.parse(sheet or sheets[0])
    except DataError:
        raise
    except ImportError as error:
        raise DataError(
            f"{_SETTING}: reading an xlsx needs openpyxl ({error}); pip install openpyxl, or save "
            "the sheet as csv"
        ) from error
    except Exception as error:  # zipfile, openpyxl and pandas raise many kinds
        raise DataError(f"{_SETTING}: {str(path)!r} cannot be read as a table: {error}") from error
