"""One raw file, or several, of any usual format, as one AnnData."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import anndata
import h5py

from gpo_vae_jax.data.prepare.reading.joined import joined
from gpo_vae_jax.data.prepare.reading.multimodal import read_mudata
from gpo_vae_jax.data.prepare.reading.tenx import (
    h5_within,
    is_matrix,
    matrix_folder,
    read_tenx_folder,
    read_tenx_h5,
)
from gpo_vae_jax.data.prepared.h5ad_access import read_h5ad
from gpo_vae_jax.errors import DataError

READS = (
    "h5ad, h5mu, loom and zarr, the .h5 file and the matrix folder of 10x, each also packed with "
    "gzip where it is one file"
)
_INSTALL = "pip install 'gpo-vae-jax[loom]'"
_LISTS = ("features.tsv.gz", "genes.tsv.gz", "barcodes.tsv.gz")  # beside the matrix of 10x
_LOOM_CELLS = ("CellID", "obs_names", "cell_names", "cell_id", "barcode", "barcodes")
_LOOM_GENES = ("Gene", "var_names", "gene_names", "gene_symbols", "Symbol", "Accession")


class RawInput(NamedTuple):
    """What was read."""

    adata: anndata.AnnData
    said: tuple[str, ...]  # notes on how


@contextlib.contextmanager
def open_raw(paths: Sequence[Path]) -> Iterator[RawInput]:
    """Read raw files as one AnnData; a single h5ad stays on disk until the context is left.

    Several files are joined by the names of their genes (`joined`).

    Raises:
      DataError: a path does not exist, is of no known format, or cannot be read; the message says
        what it is and what is read.
    """
    with contextlib.ExitStack() as stack:
        found = [_open(Path(path), stack, alone=len(paths) == 1) for path in paths]
        said = [sentence for one in found for sentence in one.said]
        adata = found[0].adata
        if len(found) > 1:
            adata, more = joined([one.adata for one in found], [Path(path) for path in paths])
            said += more
        yield RawInput(adata, tuple(said))


def format_of(path: Path) -> str:
    """Return the format of a file or folder by what it holds.

    "h5ad", "h5mu", "loom", "10x h5", "10x folder", "zarr", "gzip", "spreadsheet", "text"; "" if it
    is none of these.
    """
    if path.is_dir():
        if any((path / name).exists() for name in (".zgroup", ".zattrs", "zarr.json")):
            return "zarr"
        return "10x folder" if matrix_folder(path) else ""
    with path.open("rb") as file:
        start = file.read(8)
    if start[:2] == b"\x1f\x8b":
        return "gzip"
    if start[:2] == b"PK":
        return "spreadsheet"
    if h5py.is_hdf5(path):
        return _of_hdf5(path)
    return "text" if start and all(byte in range(9, 127) for byte in start) else ""


def _of_hdf5(path: Path) -> str:
    try:
        with h5py.File(path, "r") as file:
            keys = set(file)
            if "mod" in keys:
                return "h5mu"
            if {"row_attrs", "col_attrs"} <= keys:
                return "loom"
            if "matrix" in keys and "obs" not in keys:
                return "10x h5"
            of_genomes = [key for key in keys if isinstance(file[key], h5py.Group)]
            if "obs" not in keys and any("barcodes" in file[key] for key in of_genomes):
                return "10x h5"
    except OSError:
        return "h5ad"  # its reader says what is wrong
    return "h5ad"


def _open(path: Path, stack: contextlib.ExitStack, *, alone: bool) -> RawInput:
    if not path.exists():
        raise DataError(f"there is no file or folder {str(path)!r}")
    kind = format_of(path)
    inside = h5_within(path) if path.is_dir() and not kind else None
    if inside:
        kind, path = "10x h5", inside
    if kind == "gzip":
        if is_matrix(path):
            kind = "10x folder"
        elif path.name.endswith(_LISTS):
            kind, path = "10x folder", path.parent
        else:
            path = _unpacked(path, stack)
            kind = format_of(path)
    if kind == "text" and is_matrix(path):
        kind = "10x folder"
    if kind == "h5ad":
        adata = read_h5ad(path, backed=alone)
        if alone:
            stack.callback(adata.file.close)
        return RawInput(adata, ())
    try:
        with warnings.catch_warnings():  # on names that are not unique, and on old formats
            warnings.simplefilter("ignore")
            return _read(path, kind)
    except DataError:
        raise
    except Exception as error:  # h5py, zarr and scanpy raise many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        what = f"a {kind}" if kind.startswith("10x") else f"a file of the format {kind}"
        raise DataError(f"{str(path)!r} is {what} that cannot be read: {reason}") from error


def _read(path: Path, kind: str) -> RawInput:
    if kind == "10x h5":
        return RawInput(read_tenx_h5(path), (f"{path.name} is read as an HDF5 file of 10x",))
    if kind == "10x folder":
        return RawInput(read_tenx_folder(path), (f"{path.name} is read as a matrix folder of 10x",))
    if kind == "zarr":
        return RawInput(anndata.read_zarr(path), ())
    if kind == "loom":
        return RawInput(_read_loom(path), ())
    if kind == "h5mu":
        return RawInput(*read_mudata(path))
    what = {
        "": "a folder" if path.is_dir() else "a file of no known format",
        "text": "a text file; read it with pandas and write an AnnData",
        "spreadsheet": "a zip archive or a spreadsheet; unpack it, or write an AnnData",
    }[kind]
    raise DataError(f"{str(path)!r} is {what}; raw counts are read from {READS}")


def _read_loom(path: Path) -> anndata.AnnData:
    try:
        import loompy  # noqa: F401
    except ImportError as error:
        raise DataError(f"reading {str(path)!r} needs loompy: {_INSTALL}") from error
    from anndata.io import read_loom

    with h5py.File(path, "r") as file:
        cells, genes = file["col_attrs"], file["row_attrs"]
        names = {
            "obs_names": next((name for name in _LOOM_CELLS if name in cells), _LOOM_CELLS[0]),
            "var_names": next((name for name in _LOOM_GENES if name in genes), _LOOM_GENES[0]),
        }
    # The main matrix has all counts; the reader's default is a layer of velocyto with some of them.
    return read_loom(path, sparse=True, X_name="", validate=False, **names)


def _unpacked(path: Path, stack: contextlib.ExitStack) -> Path:
    """Unpack a gzip file into a temporary folder that goes with the context."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    target = folder / path.name.removesuffix(".gz")
    try:
        with gzip.open(path, "rb") as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 24)
    except (OSError, EOFError) as error:
        raise DataError(f"{str(path)!r} cannot be unpacked: {error}") from error
    return target
