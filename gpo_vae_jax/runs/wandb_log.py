"""Epochs as they end, told to Weights & Biases; an `on_epoch` of `train`."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from gpo_vae_jax import config_io
from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.train.group import EpochEnd


class WandbLog:
    """One run of wandb for one member, begun with its first epoch.

    Its id follows from folder and member, so that a resumed training goes on in the same run. With
    WANDB_MODE=offline everything stays in the folder, to be sent by `wandb sync`.

    Raises ConfigError where wandb is not installed.
    """

    def __init__(self, project: str, config: Config, folder: Path, *, name: str, group: str = ""):
        try:
            import wandb
        except ImportError as error:
            raise ConfigError(
                "--wandb needs wandb, which is not installed; pip install 'gpo-vae-jax[sweep]'"
            ) from error
        self._wandb: Any = wandb
        self._run: Any = None
        text = f"{Path(folder).absolute()} {name}"
        identity = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        self._options = {
            "project": project,
            "name": name,
            "group": group or None,
            "id": os.environ.get("WANDB_RUN_ID", identity),  # an agent of a wandb sweep gives one
            "dir": str(folder),
            "resume": "allow",
            "reinit": "create_new",
            "config": config_io.to_dict(config),
        }

    def __call__(self, end: EpochEnd) -> None:
        """Log the epoch's row, each number under its name in metrics.csv."""
        if self._run is None:
            self._run = self._wandb.init(**self._options)
        row = {name: value for name, value in end.row.items() if name != "epoch"}
        self._run.log({**row, "best_loss": end.best_loss}, step=int(end.row["epoch"]))
        if end.finished:
            self.close()

    def close(self) -> None:
        """End the run, if it was begun."""
        if self._run is not None:
            self._run.finish()
            self._run = None
