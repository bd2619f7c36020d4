"""The record of a folder of cells on disk: what it was written from, and what it holds."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

FORMAT_VERSION = 1  # of the folder, and of the statistics that are kept in it
_RECORD = "cells.json"


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """One array of the folder: rows, columns and type."""

    rows: int
    columns: int
    dtype: str


@dataclasses.dataclass(frozen=True)
class StoreRecord:
    """What the folder was written from, and its arrays by the name of their file."""

    source: Mapping[str, Any]
    arrays: Mapping[str, StoredArray]
    format_version: int = FORMAT_VERSION


def source_of(path: Path, names: Any) -> dict[str, Any]:
    """Return what tells one prepared file from another without reading it whole.

    Args:
      path: an h5ad file, or a zarr folder.
      names: what else must agree, as JSON values: the names of genes and treatments.
    """
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    found = [file.stat() for file in files]
    digest = hashlib.blake2b(json.dumps(names).encode(), digest_size=16)
    return {
        "bytes": sum(one.st_size for one in found),
        "modified_ns": max((one.st_mtime_ns for one in found), default=0),
        "names": digest.hexdigest(),
    }


def write_record(folder: Path, record: StoreRecord) -> None:
    """Write the record into the folder."""
    (folder / _RECORD).write_text(json.dumps(dataclasses.asdict(record), indent=1) + "\n")


def read_record_of(folder: Path, source: Mapping[str, Any]) -> tuple[StoreRecord | None, str]:
    """Return the record, or None and why the folder cannot be used for this source."""
    if not folder.exists():
        return None, "there are none yet"
    try:
        values = json.loads((folder / _RECORD).read_text())
        arrays = {name: StoredArray(**array) for name, array in values["arrays"].items()}
        record = StoreRecord(values["source"], arrays, values["format_version"])
        sizes = {name: bytes_of(array) for name, array in arrays.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, f"{_RECORD} is damaged or missing"
    if record.format_version != FORMAT_VERSION:
        return None, "another version of this package wrote them"
    if record.source != source:
        return None, "the prepared file has changed"
    for name, size in sizes.items():
        file = folder / name
        if not file.is_file():
            return None, f"{name} is missing"
        if file.stat().st_size != size:
            return None, f"{name} has {file.stat().st_size:,} bytes, not {size:,}"
    return record, ""


def bytes_of(array: StoredArray) -> int:
    """Return the size of an array's file."""
    return array.rows * array.columns * np.dtype(array.dtype).itemsize
