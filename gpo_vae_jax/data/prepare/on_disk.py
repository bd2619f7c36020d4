"""Preparation from raw files to a prepared h5ad file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import anndata

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data.prepare.pipeline import prepare
from gpo_vae_jax.data.prepare.reading.raw_files import open_raw
from gpo_vae_jax.data.prepared.h5ad_access import write
from gpo_vae_jax.errors import DataError

_LEAST_ROOM = 0.1  # share of the size of the input; a prepared file takes more


def prepare_file(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    config: PrepareConfig,
    progress: Callable[[str], None] | None = None,
    *,
    guess: bool = False,
) -> anndata.AnnData:
    """Prepare raw files into the h5ad file `target`, and return what was written.

    Args:
      source: raw counts, in one file or several (docs/data.md, Files); a single h5ad is read from
        disk as it is needed.
      target: written atomically: after an error it is as before.
      config: every setting of the preparation.
      progress: called with the name of each stage as it starts, and with "note: ..." lines.
      guess: as in `pipeline.prepare`.

    Raises:
      ConfigError: a setting is out of range.
      DataError: a path cannot be used, or the input cannot be prepared.
    """
    several = isinstance(source, Sequence) and not isinstance(source, str)
    sources = [Path(path) for path in (source if several else [source])]
    target = Path(target)
    say = progress or (lambda said: None)
    check_paths(sources, target)
    say(f"reading {', '.join(map(str, sources))}")
    with open_raw(sources) as raw:
        prepared = prepare(raw.adata, config, progress, guess=guess, said=raw.said)
    say(f"writing {target}")
    write(prepared, target)
    say("done")
    return prepared


def check_paths(sources: Sequence[Path], target: Path) -> None:
    """Check input, output and free space before any work (raises DataError)."""
    for source in sources:
        if not source.exists():
            raise DataError(f"--input: there is no file {str(source)!r}")
    if target.is_dir():
        raise DataError(f"--output: {str(target)!r} is a folder; name a file in it")
    folder = target.absolute().parent
    if not folder.is_dir():
        raise DataError(
            f"--output: the folder {str(target.parent)!r} does not exist; create it first"
        )
    if target.exists() and any(target.samefile(source) for source in sources):
        raise DataError("--output is the same file as --input; name another")
    if not os.access(folder, os.W_OK):
        raise DataError(f"--output: the folder {str(target.parent)!r} is not writable")
    free = shutil.disk_usage(folder).free
    size = sum(source.stat().st_size for source in sources)
    if free < _LEAST_ROOM * size:
        raise DataError(
            f"--output: the disk is full: {free / 1e6:,.1f} MB are free in {str(target.parent)!r}, "
            f"and the input has {size / 1e6:,.1f} MB"
        )
