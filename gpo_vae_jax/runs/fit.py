"""Training into a run folder: `train.training.train` with a writer that listens to its epochs."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import threading
import time
from pathlib import Path

from gpo_vae_jax.config import Config, TrainConfig
from gpo_vae_jax.errors import ConfigError, TrainingError
from gpo_vae_jax.files import write_text
from gpo_vae_jax.model.trained import Member, Trained
from gpo_vae_jax.runs.checkpoints import Checkpoints
from gpo_vae_jax.runs.metrics_file import MetricsFile, read_history
from gpo_vae_jax.runs.run_folder import RunFolder
from gpo_vae_jax.runs.watch import Watch, announce, stop_on_signal
from gpo_vae_jax.train.cells_in import device_memory
from gpo_vae_jax.train.chosen_sizes import with_sizes
from gpo_vae_jax.train.description import describe
from gpo_vae_jax.train.state import TrainState
from gpo_vae_jax.train.training import DivergedError, EpochEnd, initial_states, train
from gpo_vae_jax.types import Dataset


def fit(
    dataset: Dataset,
    config: Config,
    workdir: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Trained:
    """Train the seed of the settings, and keep the run in a folder.

    Writes config.json, run.json, metrics.csv, result.json and checkpoints/ into `workdir`.
    SIGINT and SIGTERM end the run after the epoch in progress, with its state saved.

    Args:
      resume: continue the run in `workdir`, exactly as if it had not stopped.
      overwrite: replace the run in `workdir`.

    Raises:
      TrainingError: a loss is not finite (the last good state is kept), or the folder does not fit.
      ConfigError: settings and data do not fit together.
    """
    if resume and overwrite:
        raise ConfigError("resume and overwrite exclude each other: choose one")
    config, chosen = with_sizes(config, dataset)
    folder, description = RunFolder(workdir), describe(config, dataset)
    memory = device_memory(dataset, config)
    (state,) = initial_states(dataset, config, [config.train.seed])
    if resume:
        folder.resume(config, description)
    else:
        folder.start(config, description, overwrite)
    checkpoints = Checkpoints(folder.checkpoints)
    if resume:
        state = checkpoints.restore_latest(state)
    if progress:
        announce(dataset, config, state.current.params, chosen)
        print(memory.sentence, file=sys.stderr)
    watch = Watch(config, first_epoch=int(state.epoch), shown=progress)
    with stop_on_signal() as stop:
        writer = _Writer(folder, checkpoints, config.train, state, watch, stop)
        try:
            trained = train(
                dataset, config, states=[state], on_epoch=writer, description=description
            )
        except DivergedError as error:
            raise TrainingError(
                f"{error}, in another folder. The state before this epoch is kept in "
                f"{folder.checkpoints / 'latest'}"
            ) from error
        finally:
            watch.close()
            checkpoints.save_latest(writer.state)
            checkpoints.close()
    member = dataclasses.replace(trained.best, history=read_history(folder.metrics))
    write_result(folder, member)
    return dataclasses.replace(trained, members=(member,))


def write_result(folder: RunFolder, member: Member) -> None:
    """Write result.json: how a run ended."""
    known = math.isfinite(member.best_loss)  # else it was stopped within its first epoch
    result = {
        "best_loss": member.best_loss if known else None,
        "best_epoch": member.best_epoch if known else None,
        "n_epochs": member.n_epochs,
        "interrupted": member.interrupted,
    }
    write_text(folder.result, json.dumps(result, indent=1) + "\n")


class _Writer:
    """Writes metrics and checkpoints as the epochs of a run end; an `on_epoch` of `train`."""

    def __init__(
        self,
        folder: RunFolder,
        checkpoints: Checkpoints,
        config: TrainConfig,
        state: TrainState,
        watch: Watch,
        stop: threading.Event,
    ):
        self.state = state  # the last good one
        self._checkpoints, self._config = checkpoints, config
        self._metrics = MetricsFile(folder.metrics, int(state.epoch))
        self._watch, self._stop = watch, stop
        self._saved = time.monotonic()

    def __call__(self, end: EpochEnd) -> bool:
        self._metrics.append(end.row)
        every = self._config.checkpoint_every_steps
        if int(end.state.step) // every > int(self.state.step) // every:
            self._checkpoints.save_step(end.state)
        self.state = end.state
        if time.monotonic() - self._saved >= self._config.save_every_seconds:
            self._checkpoints.save_latest(end.state)
            self._saved = time.monotonic()
        self._watch(end)
        return self._stop.is_set()
