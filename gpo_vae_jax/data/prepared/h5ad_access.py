"""AnnData in h5ad files, prepared or not: opened and written with errors of one line."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import warnings
from pathlib import Path

import anndata

from gpo_vae_jax.data.prepared.stored_shapes import check_stored
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
        check_stored(path)
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
        # h5py prints tracebacks of what it cannot flush, besides the error that it raises
        with written_beside(path) as part, contextlib.redirect_stderr(io.StringIO()):
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


def _place(error: Exception) -> str:
    """Return where in the file an error arose, as anndata notes it on the error."""
    for note in getattr(error, "__notes__", ()):
        found = _KEY_OF_NOTE.search(note)
        if found:
            return f" (at {found[2].rstrip('/')}/{found[1]})"
    return ""
