"""Checkpoints through orbax: the best parameters, the state to resume from, and milestones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
import orbax.checkpoint as ocp

from gpo_vae_jax.errors import TrainingError
from gpo_vae_jax.train.state import TrainState
from gpo_vae_jax.types import Params


class Checkpoints:
    """The three series of a run under one folder: `best/`, `latest/` and `steps/`.

    orbax writes each checkpoint beside its place and renames it, so that a killed run leaves
    complete ones only.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder).absolute()
        self._best = _manager(self.folder / "best", keep=1)
        self._latest = _manager(self.folder / "latest", keep=1)
        self._steps = _manager(self.folder / "steps", keep=None)

    def save_latest(self, state: TrainState) -> None:
        """Write the best parameters if they changed, and the whole state, numbered by its epoch."""
        epoch = int(state.best_epoch)
        if epoch >= 0:
            self.save_best(epoch, state.best_params)
        _save(self._latest, int(state.epoch), state)

    def save_best(self, epoch: int, params: Params) -> None:
        """Write the parameters with the best validation loss, numbered by their epoch."""
        _save(self._best, epoch, params)

    def save_step(self, state: TrainState) -> None:
        """Write the parameters as a milestone, numbered by the optimiser step."""
        _save(self._steps, int(state.step), state.current.params)

    def restore_latest(self, like: TrainState) -> TrainState:
        """Return the state to continue from; `like` itself where none was saved yet.

        Raises:
          TrainingError: the state belongs to another model, or only parameters were saved.
        """
        if self._latest.latest_step() is not None:
            return cast(TrainState, _restore(self._latest, like))
        if self._best.latest_step() is not None:
            raise TrainingError(
                f"{self.folder} holds a trained model without the state of its optimiser: it can "
                "be evaluated but not resumed"
            )
        return like

    def restore_best(self, like: Params) -> tuple[int, Params]:
        """Return the epoch with the best validation loss and its parameters (TrainingError)."""
        params = _restore(self._best, like)
        return int(self._best.latest_step() or 0), params

    def close(self) -> None:
        """Wait until everything is written."""
        for manager in (self._best, self._latest, self._steps):
            manager.close()


def _manager(folder: Path, keep: int | None) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, create=True, enable_async_checkpointing=False
    )
    return ocp.CheckpointManager(folder, options=options)


def _save(manager: ocp.CheckpointManager, number: int, tree: Any) -> None:
    if number not in manager.all_steps():
        manager.save(number, args=ocp.args.StandardSave(_without_empty(tree)), force=True)


def _restore(manager: ocp.CheckpointManager, like: Any) -> Any:
    number = manager.latest_step()
    if number is None:
        raise TrainingError(f"no checkpoint in {manager.directory}; train first")
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, _without_empty(like))
    try:
        found = manager.restore(number, args=ocp.args.StandardRestore(abstract))
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"the checkpoint {manager.directory}/{number} does not fit these settings: {error}"
        ) from error
    return jax.tree.map(
        lambda leaf, saved: saved if leaf.size else np.zeros(leaf.shape, leaf.dtype), like, found
    )


def _without_empty(tree: Any) -> Any:
    """Return the tree with None for arrays without entries, which orbax does not store.

    A network of all genes has a readout to none.
    """
    return jax.tree.map(lambda leaf: leaf if leaf.size else None, tree)
