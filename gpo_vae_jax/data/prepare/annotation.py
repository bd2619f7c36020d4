"""Annotation of a prepared file: that of the input, and the columns that preparation adds."""

from __future__ import annotations

import pandas as pd

from gpo_vae_jax.data.prepare.stage_log import Log
from gpo_vae_jax.errors import listed

_KEPT = "raw_"  # before the name of an input's column that preparation replaces


def with_new_columns(given: pd.DataFrame, new: pd.DataFrame, log: Log) -> pd.DataFrame:
    """Return the input's columns of obs with those of the preparation.

    A column of the input with the name of a new one and other values is kept as raw_NAME, unless
    there is one already.
    """
    replaced = [
        name for name in new
        if name in given and not _same(given[name], new[name]) and _KEPT + str(name) not in given
    ]  # fmt: skip
    if replaced:
        log.note(
            f"columns of obs that preparation replaces are kept: "
            f"{listed(f'{name} as {_KEPT}{name}' for name in replaced)}"
        )
    before = given.rename(columns={name: _KEPT + str(name) for name in replaced})
    before = before.drop(columns=[name for name in new if name in before])
    return storable(pd.concat([before, new], axis=1))


def storable(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table without the one name of a column that an h5ad file cannot hold."""
    return table.rename(columns={"_index": "index_"}) if "_index" in table else table


def _same(one: pd.Series, other: pd.Series) -> bool:
    return one.astype(str).equals(other.astype(str))
