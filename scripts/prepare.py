"""Make a prepared h5ad from raw counts.

    python scripts/prepare.py --config=configs/anndata.py --input RAW.h5ad --output PREPARED.h5ad

Settings: --config.prepare.NAME=VALUE (gpo_vae_jax/config.py); docs/data.md describes both files.
"""

from __future__ import annotations

import time
from pathlib import Path

import command_line
from absl import flags
from ml_collections import config_flags

from gpo_vae_jax import config_io, data
from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import DataError

CONFIG = config_flags.DEFINE_config_file("config", help_string="such as configs/anndata.py")
INPUT = flags.DEFINE_string("input", None, "h5ad with raw counts", required=True)
OUTPUT = flags.DEFINE_string("output", None, "prepared h5ad to write", required=True)
flags.mark_flag_as_required("config")


def prepare() -> None:
    """Check, prepare, write and sum up."""
    run(config_io.from_config_dict(CONFIG.value), Path(INPUT.value), Path(OUTPUT.value))


def run(config: Config, source: Path, target: Path) -> None:
    """Prepare `source` into `target`."""
    check_paths(source, target)
    start = time.perf_counter()

    def progress(stage: str) -> None:
        print(f"[{time.perf_counter() - start:6.1f} s] {stage}", flush=True)

    progress(f"reading {source}")
    raw = data.read_h5ad(source)
    settings, guessed = config.prepare, ""
    if config.name == "anndata":
        settings, guessed = data.guess_convention(raw.obs, config.prepare)
    if guessed:
        progress(f"guessed: {guessed}")
    prepared = data.prepare(raw, settings, progress)
    progress(f"writing {target}")
    data.write(prepared, target)
    progress("done")
    for what, number in data.summary(prepared):
        print(f"  {what:40} {number:>12}")
    print(
        f"next: python scripts/train.py --config=configs/{config.name}.py "
        f"--config.data.path={target} --workdir=runs/{config.name}"
    )


def check_paths(source: Path, target: Path) -> None:
    """Check input and output before any work (raises DataError)."""
    if not source.is_file():
        raise DataError(f"--input: there is no file {str(source)!r}")
    if target.is_dir():
        raise DataError(f"--output: {str(target)!r} is a folder; name a file in it")
    if not target.absolute().parent.is_dir():
        raise DataError(
            f"--output: the folder {str(target.parent)!r} does not exist; make it first"
        )
    if target.exists() and target.samefile(source):
        raise DataError("--output is the same file as --input; name another")


if __name__ == "__main__":
    command_line.run(prepare)
