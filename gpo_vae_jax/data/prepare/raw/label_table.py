"""What labels stand for, where a table says so: of the user, or of CELLxGENE's schema."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gpo_vae_jax.data.gene_names import as_text, is_missing
from gpo_vae_jax.errors import DataError, listed

_SETTING = "config.prepare.label_table"
_CELLXGENE = "genetic_perturbations"  # uns entry of CELLxGENE's schema


def read_label_table(path: str, separator: str) -> dict[str, str]:
    """Return label -> name from a csv or tsv: its first column and its second.

    A label in several rows stands for the combination of their names.

    Raises:
      DataError: the file is missing, no table, or has fewer than two columns.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{_SETTING}: there is no file {path!r}")
    try:
        with file.open(encoding="utf-8") as lines:
            first = lines.readline()
        by = next((mark for mark in ("\t", ";", ",") if mark in first), ",")
        table = pd.read_csv(file, sep=by, dtype=str, keep_default_na=False)
    except Exception as error:  # pandas and csv raise many kinds
        raise DataError(f"{_SETTING}: {path!r} cannot be read as a table: {error}") from error
    if table.shape[1] < 2:
        raise DataError(
            f"{_SETTING}: {path!r} has the columns {listed(table.columns)}; it needs two: "
            "the label and the name of its gene (or of the control)"
        )
    labels, names = as_text(table.iloc[:, 0]), as_text(table.iloc[:, 1])
    return _joined(zip(labels, names, strict=True), separator or "+")


def cellxgene_names(uns: Mapping[str, Any], control: str, separator: str) -> dict[str, str]:
    """Return id -> genes, joined by the separator, of CELLxGENE's uns['genetic_perturbations'].

    Ids whose role is "control" stand for the control.
    """
    found = {}
    for key, entry in dict(uns.get(_CELLXGENE, {})).items():
        if not isinstance(entry, Mapping):
            continue
        if str(entry.get("role", "")).lower() == "control":
            found[str(key)] = control
        elif isinstance(entry.get("derived_features"), Mapping):
            genes = sorted(map(str, entry["derived_features"]))
            if genes:
                found[str(key)] = separator.join(genes)
    return found


def translated(label: str, table: Mapping[str, str], separator: str) -> str:
    """Return what a label stands for: the whole of it, or each of its parts; else itself."""
    if not table:
        return label
    text = label.strip()
    if text in table:
        return table[text]
    parts = [part.strip() for part in text.split(separator)] if separator else [text]
    if len(parts) > 1 and any(part in table for part in parts):
        return separator.join(table.get(part, part) for part in parts)
    return label


def _joined(pairs, separator: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for label, name in pairs:
        if label and not is_missing(name) and name not in found.setdefault(label, []):
            found[label].append(name)
    return {label: separator.join(names) for label, names in found.items()}
