"""The names a gene has: var names, and the symbols or Ensembl ids beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from gpo_vae_jax.data.labels import listed
from gpo_vae_jax.errors import DataError

SYMBOL_COLUMNS = (
    *("gene_name", "gene_names", "gene_symbol", "gene_symbols", "symbol", "symbols"),
    *("feature_name", "gene_short_name", "gene"),
)
ID_COLUMNS = ("gene_id", "gene_ids", "ensembl_id", "ensembl_ids", "ensembl", "feature_id")
_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d+(\.\d+)?$")


def gene_aliases(var: pd.DataFrame, key: str = "") -> dict[str, str]:
    """Return the var name of every other name of a gene.

    Other names stand in the column `key`, or where it is empty in the well-known ones. A name that
    means several genes, or is a var name itself, means nothing here. Raises DataError for an
    unknown column.
    """
    if key and key not in var:
        raise DataError(
            f"config.prepare.gene_name_key: var has no column {key!r}; "
            f"there are: {listed(var.columns) or 'none'}"
        )
    names = [str(name) for name in var.index]
    own = set(names)
    found: dict[str, str] = {}
    ambiguous = set()
    for column in [key] if key else _known_columns(var, SYMBOL_COLUMNS + ID_COLUMNS):
        for other, name in zip(var[column].astype(str), names, strict=True):
            if other in own:
                continue
            if found.setdefault(other, name) != name:
                ambiguous.add(other)
    return {other: name for other, name in found.items() if other not in ambiguous}


def symbols(var: pd.DataFrame, key: str = "") -> tuple[list[str], str]:
    """Return the genes' symbols, by which mitochondrial and other genes are found, and a note.

    They are the var names, or a column of symbols where the var names are Ensembl ids; the note
    says so, or that there are none ("" where there is nothing to say).
    """
    names = [str(name) for name in var.index]
    if not _are_ids(names):
        return names, ""
    for column in [key] if key else _known_columns(var, SYMBOL_COLUMNS):
        values = [str(value) for value in var[column]]
        if not _are_ids(values):
            return values, f"mitochondrial and other genes are found by var[{column!r}]"
    return names, (
        "var names are Ensembl ids and no column has symbols: mitochondrial, ribosomal and "
        "haemoglobin shares are 0 (config.prepare.gene_name_key names a column)"
    )


def names_beside(obs: pd.DataFrame, labels: np.ndarray, code: np.ndarray) -> list[dict[str, str]]:
    """Give, for each obs column with other names of perturbed genes, label -> other name.

    `labels` are the distinct labels and `code` [N] the label of each cell. A label with several
    other names is left out.
    """
    found = []
    for column in _known_columns(obs, SYMBOL_COLUMNS + ID_COLUMNS):
        pairs = pd.DataFrame({"code": code, "other": obs[column].astype(str).to_numpy()})
        pairs = pairs.drop_duplicates()
        pairs = pairs[~pairs["code"].duplicated(keep=False)]
        found.append({str(labels[c]): str(o) for c, o in pairs.itertuples(index=False)})
    return found


def _known_columns(table: pd.DataFrame, known: Sequence[str]) -> list[str]:
    return [column for column in table if str(column).lower() in known]


def _are_ids(names: Sequence[str]) -> bool:
    return bool(names) and sum(bool(_ENSEMBL.match(name)) for name in names) > len(names) / 2
