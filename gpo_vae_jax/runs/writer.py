"""What a member's epochs leave in its run folder; and how a run ended."""

from __future__ import annotations

import contextlib
import math
import time

from gpo_vae_jax.config import TrainConfig
from gpo_vae_jax.model.trained import Member
from gpo_vae_jax.runs.checkpoints import Checkpoints
from gpo_vae_jax.runs.metrics_file import MetricsFile
from gpo_vae_jax.runs.run_folder import RunFolder
from gpo_vae_jax.runs.sealed_json import write_sealed
from gpo_vae_jax.train.group import EpochEnd
from gpo_vae_jax.train.held_states import StateGoneError
from gpo_vae_jax.train.state import TrainState


class Writer:
    """Writes metrics and checkpoints as the epochs of one member end.

    Where several processes train together, each has writers that fetch states at the same moments,
    and those of the first one write.
    """

    def __init__(
        self,
        folder: RunFolder | None,
        checkpoints: Checkpoints | None,
        config: TrainConfig,
        start: TrainState,
        recorded: str = "",
    ):
        """Start at a state.

        Args:
          folder: of the run; None where this process does not write.
          checkpoints: of the run; None likewise.
          config: when states and milestones are kept.
          start: where the training starts.
          recorded: what the checkpoint of that state recorded of metrics.csv.
        """
        self.start = start
        self._checkpoints, self._config = checkpoints, config
        self._metrics = None
        if folder is not None:
            self._metrics = MetricsFile(folder.metrics, int(start.epoch), recorded)
        self._step = int(start.step)
        self._unsaved: EpochEnd | None = None  # the last epoch, where it is not saved
        self._saved = time.monotonic()

    @property
    def history(self) -> str:
        """Return what metrics.csv is to hold."""
        return "" if self._metrics is None else self._metrics.text

    @property
    def is_due(self) -> bool:
        """Return whether so much time has passed that the next state is to be saved."""
        return time.monotonic() - self._saved >= self._config.save_every_seconds

    def __call__(self, end: EpochEnd, *, save: bool) -> None:
        """Write the epoch's row, its milestone if it is one, and its state where `save` is set."""
        self._unsaved = end  # also where its row cannot be written: there is no earlier state
        if self._metrics is not None:
            self._metrics.append(end.row)
        every = self._config.checkpoint_every_steps
        if int(end.row["step"]) // every > self._step // every:
            state = end.state
            if self._checkpoints is not None:
                self._checkpoints.save_step(state)
        self._step = int(end.row["step"])
        if save or end.finished:
            self._save()

    def close(self) -> None:
        """Save the last state if it is not saved yet (raises TrainingError).

        An epoch that failed has taken it; then the one that was saved last is what there is.
        """
        with contextlib.suppress(StateGoneError):
            self._save()
        if self._checkpoints is not None:
            self._checkpoints.close()

    def _save(self) -> None:
        if self._unsaved is None:
            return
        state, self._unsaved, self._saved = self._unsaved.state, None, time.monotonic()
        if self._checkpoints is not None:
            self._checkpoints.save_latest(state, self.history)


def write_result(folder: RunFolder, member: Member) -> None:
    """Write result.json: how a run ended."""
    known = math.isfinite(member.best_loss)  # else it was stopped within its first epoch
    write_sealed(
        folder.result,
        {
            "best_loss": member.best_loss if known else None,
            "best_epoch": member.best_epoch if known else None,
            "n_epochs": member.n_epochs,
            "interrupted": member.interrupted,
        },
    )
