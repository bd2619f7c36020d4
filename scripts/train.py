"""Train GPO-VAE on a prepared file, or on simulated data.

    python scripts/train.py --config=configs/demo.py --workdir=runs/demo
    python scripts/train.py --config=configs/anndata.py --config.data.path=PREPARED.h5ad \
        --workdir=runs/mine --config.train.max_epochs=200

Any setting: --config.GROUP.NAME=VALUE (gpo_vae_jax/config.py). An interrupted run goes on with
--resume. What a run leaves in its folder: docs/data.md.
"""

from __future__ import annotations

import command_line
from absl import flags
from ml_collections import config_flags

from gpo_vae_jax import config_io, data
from gpo_vae_jax.runs import fit

CONFIG = config_flags.DEFINE_config_file("config", help_string="such as configs/demo.py")
WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run", required=True)
RESUME = flags.DEFINE_bool("resume", False, "go on with the run in --workdir")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "replace the run in --workdir")
flags.mark_flag_as_required("config")


def train() -> int:
    """Train, and say how it ended: 0, or 130 after an interruption."""
    config = config_io.from_config_dict(CONFIG.value)
    dataset = data.from_config(config)
    result = fit(dataset, config, WORKDIR.value, resume=RESUME.value, overwrite=OVERWRITE.value)
    print(
        f"best validation loss {result.best_loss:.4f} in epoch {result.best_epoch} of "
        f"{result.n_epochs}"
    )
    if result.interrupted:
        print("interrupted; the same command with --resume goes on from here")
        return 130
    print(f"next: python scripts/evaluate.py --workdir={WORKDIR.value}")
    return 0


if __name__ == "__main__":
    command_line.run(train)
