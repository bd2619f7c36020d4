"""AnnData in h5ad files, prepared or not: opened and written with errors of one line."""

from __future__ import annotations

import errno
import os
import re
import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.files import written_beside

_KEY_OF_NOTE = re.compile(r"key '([^']*)'.* (?:from|at) (\S+)")  # of anndata's notes on errors


def read_h5ad(path: str | os.PathLike[str], backed: bool = False) -> anndata.AnnData:
    """Open an h5ad file; `backed` leaves X on disk.

    Raises DataError if the file is missing or cannot be read.
    """
    if not Path(path).is_file():
        raise DataError(f"there is no file {str(path)!r}")
    try:
        wrong = _misshapen(path)
        if wrong:
            raise DataError(wrong)
        with warnings.catch_warnings():  # duplicate names are an error of ours, later
            warnings.filterwarnings("ignore", "(Observation|Variable) names are not unique")
            return anndata.read_h5ad(path, backed="r" if backed else None)
    except Exception as error:  # h5py and anndata raise many kinds
        raise DataError(
            f"{str(path)!r} cannot be read as an h5ad file: {first_line(error)}{_place(error)}"
        ) from error


def write(adata: anndata.AnnData, path: str | os.PathLike[str]) -> None:
    """Write an h5ad atomically: next to `path` first, then renamed.

    Raises DataError if the folder is missing, the disk is full, or a value cannot be stored.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise DataError(f"the folder {str(path.parent)!r} of the output does not exist")
    try:
        with written_beside(path) as part:
            adata.write_h5ad(
                part, compression="gzip", compression_opts=1, convert_strings_to_categoricals=False
            )
    except Exception as error:  # from the disk, or from anndata for a value it cannot store
        full = getattr(error, "errno", 0) == errno.ENOSPC or "No space left" in str(error)
        reason = "the disk is full" if full else first_line(error)
        raise DataError(f"{str(path)!r} cannot be written: {reason}") from error


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its kind if it says nothing."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _misshapen(path: str | os.PathLike[str]) -> str:
    """Name a part of the file that has not a row for each cell, or a column for each gene.

    pandas and anndata do not name it, and they repeat a single number. Only shapes are read.
    """
    lengths: list[int] = []
    with h5py.File(path, "r") as file:
        for axis in ("obs", "var"):
            table = file.get(axis)
            index = table.attrs.get("_index") if isinstance(table, h5py.Group) else None
            if not isinstance(index, str):  # as before anndata 0.7; or damage that is named later
                return ""
            names = table.get(index)
            if not isinstance(names, h5py.Dataset) or len(names.shape) != 1:
                return f"the {axis} index, {axis}[{index!r}], is no list of names"
            lengths.append(names.shape[0])
            within = _members(file, axis) | _members(file, f"{axis}m")
            for field, node in within.items():
                if _length(node) not in (None, lengths[-1]):
                    found = f"{_length(node)} values, but the {axis} index has {lengths[-1]}"
                    return f"{field} has {found}"
        matrices = ({"X": file["X"]} if "X" in file else {}) | _members(file, "layers")
        for field, node in matrices.items():
            shape = node.shape if isinstance(node, h5py.Dataset) else _sparse_shape(node)
            if shape is not None and shape != tuple(lengths):
                return f"{field} has shape {shape}; expected {tuple(lengths)}, cells x genes"
    return ""


def _members(file: h5py.File, name: str) -> dict[str, h5py.Group | h5py.Dataset]:
    """Return the members of a group, by the names that messages give them."""
    group = file.get(name)
    nodes = group.items() if isinstance(group, h5py.Group) else ()
    return {f"{name}[{key!r}]": node for key, node in nodes}


def _sparse_shape(matrix: h5py.Group) -> tuple[int, ...] | None:
    """Return the shape that a sparse matrix states; () if it states none, None for other groups."""
    if not {"data", "indices", "indptr"} & set(matrix):
        return None
    stated = np.atleast_1d(matrix.attrs.get("shape", matrix.attrs.get("h5sparse_shape", ())))
    return tuple(stated.tolist())


def _length(column: h5py.Group | h5py.Dataset) -> int | None:
    """Return the number of values of a column; None where the encoding is none we know."""
    if isinstance(column, h5py.Group):
        inside = [column[key] for key in ("codes", "values") if key in column]
        return _length(inside[0]) if len(inside) == 1 else None
    return column.shape[0] if column.shape else 1


def _place(error: Exception) -> str:
    """Return where in the file an error arose, as anndata notes it on the error."""
    for note in getattr(error, "__notes__", ()):
        found = _KEY_OF_NOTE.search(note)
        if found:
            return f" (at {found[2].rstrip('/')}/{found[1]})"
    return ""
