"""Checkpoints through orbax: the best parameters, the states to resume from, and milestones.

Every checkpoint has a record with a checksum of its arrays, which is verified on reading. A damaged
one is named, and the one before is used.
"""

from __future__ import annotations

from pathlib import Path

from gpo_vae_jax import progress
from gpo_vae_jax.errors import TrainingError
from gpo_vae_jax.runs.checkpoint_series import RunFingerprints, Series
from gpo_vae_jax.runs.sealed_json import DamagedError
from gpo_vae_jax.runs.state_record import StateRecord
from gpo_vae_jax.train.state import TrainState
from gpo_vae_jax.types import Params

_KEPT = 2  # states to resume from
_ANY = RunFingerprints()
_Best = tuple[int, Params, StateRecord | None]  # epoch, parameters and their record


class Checkpoints:
    """The three series of a run under one folder: `best/`, `latest/` and `steps/`.

    orbax writes each checkpoint beside its place and renames it, so that a killed run leaves
    complete ones only.
    """

    def __init__(self, folder: Path, run: RunFingerprints = _ANY, *, writes: bool = False):
        self.folder = Path(folder).absolute()
        self._run = run
        self._best = Series(self.folder / "best", 1, run, writes)
        self._latest = Series(self.folder / "latest", _KEPT, run, writes)
        self._steps = Series(self.folder / "steps", None, run, writes)

    def save_latest(self, state: TrainState, history: str = "") -> None:
        """Write the best parameters if they changed, and the whole state, numbered by its epoch.

        Args:
          state: in host memory.
          history: metrics.csv up to the state.

        Raises:
          TrainingError: it cannot be written, as on a full disk.
        """
        told = {
            "epoch": int(state.epoch),
            "best_epoch": int(state.best_epoch),
            "best_loss": float(state.best_loss) if int(state.best_epoch) >= 0 else None,
        }
        # The state comes first: a process killed between the two can go on, and the state has the
        # best parameters as well.
        self._latest.save(told["epoch"], state, **told, history=history)
        if told["best_epoch"] >= 0:
            self._best.save(told["best_epoch"], state.best_params, **told)

    def save_best(self, epoch: int, params: Params, history: str = "") -> None:
        """Write the parameters with the best validation loss, numbered by their epoch."""
        self._best.save(epoch, params, best_epoch=epoch, history=history)

    def save_step(self, state: TrainState) -> None:
        """Write the parameters as a milestone, numbered by the optimiser step."""
        self._steps.save(int(state.step), state.current.params, epoch=int(state.epoch))

    def restore_latest(self, like: TrainState) -> tuple[TrainState, StateRecord | None]:
        """Return the last state that is whole, and its record; `like` where none was saved yet.

        Raises:
          TrainingError: the state belongs to another run, all states are damaged, or only
            parameters were saved.
        """
        damaged = []
        for number in self._latest.numbers():
            try:
                found = self._latest.read(number, like)
            except DamagedError as error:
                damaged.append(number)
                progress.note(f"{error}")
                continue
            for wrong in damaged:  # it would stand in the way of the state that replaces it
                self._latest.delete(wrong)
            if damaged:
                progress.note(f"going on from the state before, after epoch {number - 1}")
            return found
        if damaged:
            raise TrainingError(
                f"no state in {self._latest.folder} can be read: {len(damaged)} are damaged. The "
                "run cannot be resumed; its best parameters can still be evaluated if "
                f"{self._best.folder} is whole. Start anew with --overwrite or in another folder"
            )
        if self._best.numbers():
            raise TrainingError(
                f"{self.folder} holds a trained model without the state of its optimiser: it can "
                "be evaluated but not resumed"
            )
        return like, None

    def restore_best(self, like: TrainState) -> tuple[int, Params, StateRecord | None]:
        """Return the epoch with the best validation loss, its parameters, and their record.

        Where they are damaged, those of the last state are used.

        Raises:
          TrainingError: there are none, or they belong to another run.
        """
        last, saved = self.last_record(), self._best.numbers()
        behind = last is not None and last.best_epoch > max(saved, default=-1)  # killed in a save
        sources = (self._best_of_states, self._best_alone)
        damaged = 0
        for source in sources if behind else reversed(sources):
            found, wrong = source(like)
            if found is not None:
                return found
            damaged += wrong
        if damaged:
            raise TrainingError(f"every checkpoint in {self.folder} is damaged; train anew")
        raise TrainingError(f"no checkpoint in {self._best.folder}; train first")

    def _best_alone(self, like: TrainState) -> tuple[_Best | None, int]:
        """Return the best parameters as they were saved, and the number of damaged ones."""
        damaged = 0
        for number in self._best.numbers():
            try:
                return (number, *self._best.read(number, like.best_params)), damaged
            except DamagedError as error:
                damaged += 1
                progress.note(f"{error}")
        return None, damaged

    def _best_of_states(self, like: TrainState) -> tuple[_Best | None, int]:
        """Return the best parameters of the last state, and the number of damaged states."""
        damaged = 0
        for number in self._latest.numbers():
            try:
                state, record = self._latest.read(number, like)
            except DamagedError as error:
                damaged += 1
                progress.note(f"{error}")
                continue
            if int(state.best_epoch) >= 0:
                progress.note(f"using the best parameters of the state in {self._latest.folder}")
                return (int(state.best_epoch), state.best_params, record), damaged
        return None, damaged

    def last_record(self) -> StateRecord | None:
        """Return the record of the last state, or None where there is none that can be read."""
        for number in self._latest.numbers():
            try:
                return self._latest.record(number)
            except DamagedError as error:
                progress.note(f"{error}")
        return None

    def close(self) -> None:
        """Wait until everything is written."""
        for series in (self._best, self._latest, self._steps):
            series.close()
