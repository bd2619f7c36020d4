"""Where the cells of a prepared file are kept: an estimate of the memory that they would take."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from gpo_vae_jax.config import DataConfig
from gpo_vae_jax.data.prepared.store.elements import is_zarr
from gpo_vae_jax.memory import available_bytes

SHARE = 0.6  # of the available memory that a data set may take
_COUNT_BYTES = 2  # of a count whose type does not say
_COPIES = 2  # the matrices, and then their rows by split


class Placement(NamedTuple):
    """Where the cells are kept, and why."""

    on_disk: bool
    n_cells: int
    n_genes: int
    needed: float  # bytes in host memory, at the peak of reading
    available: float  # bytes of host memory
    store: Path  # the folder of cells on disk

    @property
    def sentence(self) -> str:
        """Return the estimate and the choice, for a person."""
        where = f"on disk, in {self.store}" if self.on_disk else "in host memory"
        return (
            f"{self.n_cells:,} cells of {self.n_genes:,} genes take up to {_gib(self.needed)} of "
            f"host memory, {_gib(self.available)} are available: they are kept {where}"
        )


def placement(path: str | os.PathLike[str], config: DataConfig) -> Placement | None:
    """Estimate the memory that a prepared file takes, and decide where its cells are kept.

    Only shapes and types are read. With `data.cells_in` "auto" the cells stay on disk if they would
    take more than SHARE of the memory that is available.

    Returns:
      None where the file is missing or is not what it seems; reading it then names the reason.
    """
    try:
        n_cells, n_genes, needed = _needed(Path(path))
    except Exception:  # h5py and zarr raise many kinds, and a damaged file may have any shape
        return None
    available = available_bytes()
    on_disk = config.cells_in == "disk"
    if config.cells_in == "auto":
        on_disk = needed > SHARE * available
    return Placement(on_disk, n_cells, n_genes, needed, available, store_of(path, config))


def store_of(path: str | os.PathLike[str], config: DataConfig) -> Path:
    """Return the folder of the cells of a prepared file."""
    path = Path(path)
    return Path(config.store) if config.store else path.with_name(f"{path.name}.cells")


def _needed(path: Path) -> tuple[int, int, float]:
    """Return the number of cells, of genes, and the bytes at the peak of reading."""
    if is_zarr(path):
        return _of_parts(importlib.import_module("zarr").open_group(str(path), mode="r"))
    with h5py.File(path, "r") as file:
        return _of_parts(file)


def _of_parts(file: Any) -> tuple[int, int, float]:
    x, layer, delta = file["X"], file["layers/counterfactual"], file["obsm/delta_x"]
    shape = tuple(x.attrs["shape"]) if "shape" in x.attrs else x.shape
    n_cells, n_genes = int(shape[0]), int(shape[1])
    values = float(n_cells) * n_genes
    counts = values * (_bytes_of_count(x) + _bytes_of_count(layer))
    delta_bytes = float(n_cells) * delta.shape[1]
    loaded = _stored(layer) + delta_bytes * delta.dtype.itemsize  # of a backed AnnData: all but X
    return n_cells, n_genes, _COPIES * (counts + 4 * delta_bytes) + loaded


def _bytes_of_count(matrix: Any) -> int:
    dtype = np.dtype(matrix.dtype if hasattr(matrix, "dtype") else matrix["data"].dtype)
    return dtype.itemsize if dtype.kind == "u" and dtype.itemsize <= 4 else _COUNT_BYTES


def _stored(matrix: Any) -> float:
    """Return the bytes of a matrix as it is stored, uncompressed."""
    parts = [matrix] if hasattr(matrix, "dtype") else [matrix["data"], matrix["indices"]]
    return float(sum(np.prod(part.shape) * part.dtype.itemsize for part in parts))


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:,.1f} GiB"
