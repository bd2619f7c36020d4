"""Preparation from one h5ad file to another."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data.prepare.pipeline import prepare
from gpo_vae_jax.data.prepared.h5ad_access import read_h5ad, write
from gpo_vae_jax.errors import DataError

_LEAST_ROOM = 0.1  # share of the size of the input; a prepared file takes more


def prepare_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    config: PrepareConfig,
    progress: Callable[[str], None] | None = None,
    *,
    guess: bool = False,
) -> anndata.AnnData:
    """Prepare the h5ad file `source` into the h5ad file `target`, and return what was written.

    Args:
      source: raw counts; read from disk as they are needed.
      target: written atomically: after an error it is as before.
      config: every setting of the preparation.
      progress: called with the name of each stage as it starts, and with "note: ..." lines.
      guess: as in `pipeline.prepare`.

    Raises:
      ConfigError: a setting is out of range.
      DataError: a path cannot be used, or the input cannot be prepared.
    """
    source, target = Path(source), Path(target)
    say = progress or (lambda said: None)
    check_paths(source, target)
    say(f"reading {source}")
    raw = read_h5ad(source, backed=True)
    try:
        prepared = prepare(raw, config, progress, guess=guess)
    finally:
        raw.file.close()
    say(f"writing {target}")
    write(prepared, target)
    say("done")
    return prepared


def check_paths(source: Path, target: Path) -> None:
    """Check input, output and free space before any work (raises DataError)."""
    if not source.is_file():
        raise DataError(f"--input: there is no file {str(source)!r}")
    if target.is_dir():
        raise DataError(f"--output: {str(target)!r} is a folder; name a file in it")
    folder = target.absolute().parent
    if not folder.is_dir():
        raise DataError(
            f"--output: the folder {str(target.parent)!r} does not exist; create it first"
        )
    if target.exists() and target.samefile(source):
        raise DataError("--output is the same file as --input; name another")
    if not os.access(folder, os.W_OK):
        raise DataError(f"--output: the folder {str(target.parent)!r} is not writable")
    free, size = shutil.disk_usage(folder).free, source.stat().st_size
    if free < _LEAST_ROOM * size:
        raise DataError(
            f"--output: the disk is full: {free / 1e6:,.1f} MB are free in {str(target.parent)!r}, "
            f"and the input has {size / 1e6:,.1f} MB"
        )
