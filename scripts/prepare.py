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

CONFIG = config_flags.DEFINE_config_file("config", help_string="such as configs/anndata.py")
INPUT = flags.DEFINE_string("input", None, "h5ad with raw counts", required=True)
OUTPUT = flags.DEFINE_string("output", None, "prepared h5ad to write", required=True)
flags.mark_flag_as_required("config")


def prepare() -> None:
    """Check, prepare, write and sum up."""
    run(config_io.from_config_dict(CONFIG.value), Path(INPUT.value), Path(OUTPUT.value))


def run(config: Config, source: Path, target: Path) -> None:
    """Prepare `source` into `target`."""
    start = time.perf_counter()
    begun: list[tuple[float, str]] = []

    def progress(said: str) -> None:
        now = time.perf_counter() - start
        print(f"[{now:6.1f} s] {said}", flush=True)
        if not said.startswith("note: "):
            begun.append((now, said))

    prepared = data.prepare_file(
        source, target, config.prepare, progress, guess=config.name == "anndata"
    )
    ended = [now for now, _ in begun[1:]]
    seconds = {name: end - now for (now, name), end in zip(begun, ended, strict=False)}
    print(data.table(prepared, seconds))
    for what, number in data.summary(prepared):
        print(f"  {what:40} {number:>12}")
    print(
        f"next: python scripts/train.py --config=configs/{config.name}.py "
        f"--config.data.path={target} --workdir=runs/{config.name}"
    )


if __name__ == "__main__":
    command_line.run(prepare)
