"""The shapes of what an h5ad stores, checked before it is read.

anndata and pandas do not name what does not fit, and they repeat a single number for every cell.
"""

from __future__ import annotations

import os

import h5py
import numpy as np

from gpo_vae_jax.errors import DataError

_GROUPS = ("obs", "var", "obsm", "varm", "layers", "uns")

Node = h5py.Group | h5py.Dataset


def check_stored(path: str | os.PathLike[str]) -> None:
    """Check that all parts have a row for each cell or gene, without reading more than shapes.

    Files written before anndata 0.7 store tables in another way, and are left to anndata.

    Raises:
      DataError: a part has another kind or shape; the message names it.
      OSError: the file is no HDF5 file.
    """
    with h5py.File(path, "r") as file:
        for name in _GROUPS:
            node = file.get(name)
            if isinstance(node, h5py.Dataset) and node.dtype.names is None:
                raise DataError(f"{name} is an array of shape {node.shape}, not a group")
        shape = tuple(_length_of_index(file, axis) for axis in ("obs", "var"))
        for axis, length in zip(("obs", "var"), shape, strict=True):
            for field, node in (_members(file, axis) | _members(file, f"{axis}m")).items():
                found = _length(node)
                if length is not None and found is not None and found != length:
                    raise DataError(
                        f"{field} has {found} values, but the {axis} index has {length}"
                    )
        for field, node in (_members(file, "layers") | _members(file, "obsm")).items():
            kind = node.attrs.get("encoding-type", "dict")
            if isinstance(node, h5py.Group) and kind == "dict" and not _stated_shape(node):
                raise DataError(f"{field} is a group of other things, not a matrix")
        matrices = ({"X": file["X"]} if "X" in file else {}) | _members(file, "layers")
        for field, node in matrices.items():
            found = node.shape if isinstance(node, h5py.Dataset) else _stated_shape(node)
            if None not in shape and found is not None and found != shape:
                raise DataError(f"{field} has shape {found}; expected {shape}, cells x genes")


def _length_of_index(file: h5py.File, axis: str) -> int | None:
    """Return the number of names of cells or genes; None where anndata will say what is wrong."""
    table = file.get(axis)
    index = table.attrs.get("_index") if isinstance(table, h5py.Group) else None
    if not isinstance(index, str):
        return None
    names = file[axis].get(index)
    if not isinstance(names, h5py.Dataset) or len(names.shape) != 1:
        raise DataError(f"the {axis} index, {axis}[{index!r}], is no list of names")
    return names.shape[0]


def _members(file: h5py.File, name: str) -> dict[str, Node]:
    """Return the members of a group, by the names that messages give them."""
    group = file.get(name)
    nodes = group.items() if isinstance(group, h5py.Group) else ()
    return {f"{name}[{key!r}]": node for key, node in nodes}


def _length(column: Node) -> int | None:
    """Return the number of values of a column; None where the encoding is none we know."""
    if isinstance(column, h5py.Group):
        inside = [column[key] for key in ("codes", "values") if key in column]
        return _length(inside[0]) if len(inside) == 1 else None
    return column.shape[0] if column.shape else 1


def _stated_shape(matrix: h5py.Group) -> tuple[int, ...] | None:
    """Return the shape that a sparse matrix states; () if it states none, None for other groups."""
    if not {"data", "indices", "indptr"} & set(matrix):
        return None
    stated = np.atleast_1d(matrix.attrs.get("shape", matrix.attrs.get("h5sparse_shape", ())))
    return tuple(stated.tolist())
