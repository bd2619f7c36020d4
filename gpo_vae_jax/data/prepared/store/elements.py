"""The parts of a prepared file, its matrices left on disk."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd

from gpo_vae_jax.data.prepared.h5ad_access import first_line
from gpo_vae_jax.data.prepared.stored_shapes import check_stored
from gpo_vae_jax.errors import DataError

_LEFT_ON_DISK = ("delta_x",)  # of obsm; the rest is small


@dataclasses.dataclass(frozen=True)
class Elements:
    """What `cell_fields` reads of an AnnData, each matrix as it is on disk.

    A backed AnnData leaves only X on disk: counterfactual counts and delta would be loaded.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    uns: Mapping[str, Any]
    obsm: Mapping[str, Any]
    layers: Mapping[str, Any]
    X: Any

    @property
    def n_obs(self) -> int:
        """Return the number of cells."""
        return len(self.obs)

    @property
    def shape(self) -> tuple[int, int]:
        """Return cells and genes."""
        return len(self.obs), len(self.var)

    @property
    def obs_names(self) -> pd.Index:
        """Return the names of the cells."""
        return self.obs.index

    @property
    def var_names(self) -> pd.Index:
        """Return the names of the genes."""
        return self.var.index


@contextmanager
def elements(path: str | os.PathLike[str]) -> Generator[Elements, None, None]:
    """Open a prepared h5ad file, or a zarr folder, for as long as the block lasts.

    Raises:
      DataError: it is missing, or a part cannot be read.
    """
    path = Path(path)
    try:
        file = _opened(path)
    except Exception as error:  # h5py and zarr raise many kinds
        raise DataError(f"{str(path)!r} cannot be read: {first_line(error)}") from error
    try:
        yield _elements(file)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read to its end: {first_line(error)}") from error
    finally:
        if isinstance(file, h5py.File):
            file.close()


def is_zarr(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a zarr folder."""
    return any((Path(path) / name).is_file() for name in (".zgroup", "zarr.json"))


def _opened(path: Path) -> Any:
    if is_zarr(path):
        return importlib.import_module("zarr").open_group(str(path), mode="r")
    if not path.is_file():
        raise DataError(f"there is no file {str(path)!r}")
    check_stored(path)
    return h5py.File(path, "r")


def _elements(file: Any) -> Elements:
    """Read the annotation (raises DataError)."""
    missing = [name for name in ("obs", "var", "uns", "X") if name not in file]
    if missing:
        raise DataError(f"it has no {' and no '.join(missing)}")
    io = anndata.io if hasattr(anndata, "io") else anndata.experimental  # before 0.11
    try:
        found: dict[str, Any] = {name: io.read_elem(file[name]) for name in ("obs", "var", "uns")}
        obsm = {
            key: node if key in _LEFT_ON_DISK else np.asarray(io.read_elem(node))
            for key, node in _members(file, "obsm")
        }
        layers = {key: _matrix(node) for key, node in _members(file, "layers")}
        return Elements(**found, obsm=obsm, layers=layers, X=_matrix(file["X"]))
    except Exception as error:  # anndata raises many kinds
        raise DataError(f"it cannot be read: {first_line(error)}") from error


def _members(file: Any, name: str) -> list[tuple[str, Any]]:
    return [(key, file[name][key]) for key in file[name]] if name in file else []


def _matrix(node: Any) -> Any:
    """Return a matrix whose rows can be read: an array on disk, or a sparse one."""
    if hasattr(node, "dtype"):
        return node
    io = anndata.io if hasattr(anndata, "io") else anndata.experimental
    return io.sparse_dataset(node)
