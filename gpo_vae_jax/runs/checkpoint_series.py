"""Numbered checkpoints in one folder, each with a record that is verified on reading."""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from gpo_vae_jax.errors import TrainingError
from gpo_vae_jax.runs.sealed_json import DamagedError
from gpo_vae_jax.runs.state_record import StateRecord, arrays_checksum, structure_checksum

_STATE, _RECORD = "state", "record"  # items of a checkpoint
_LATE = 1.0  # seconds for which threads may still speak of a failed save
_EARLIER = "default"  # the item of checkpoints without a record, from earlier versions


class RunFingerprints(NamedTuple):
    """Which run checkpoints belong to; "" where it is not to be checked."""

    settings: str = ""
    data: str = ""


class Series:
    """Numbered checkpoints in one folder; opened when it is used, without writing on reading."""

    def __init__(self, folder: Path, keep: int | None, run: RunFingerprints, writes: bool):
        self.folder = folder
        self._keep, self._run, self._writes = keep, run, writes
        self._opened: ocp.CheckpointManager | None = None

    def numbers(self) -> list[int]:
        """Return the numbers of the checkpoints, the last first."""
        return sorted(self._manager().all_steps(), reverse=True) if self.folder.is_dir() else []

    def save(self, number: int, tree: Any, **told: Any) -> None:
        """Write a checkpoint with its record, unless there is one of this number."""
        try:
            if not self.folder.is_dir():
                self._make_folder()
            if number in self._manager().all_steps():
                return
            arrays = _without_empty(jax.device_get(tree))
            record = StateRecord(
                arrays_checksum(arrays), structure_checksum(arrays), *self._run, **told
            )
            items = {
                _STATE: ocp.args.StandardSave(arrays),
                _RECORD: ocp.args.JsonSave(record.to_json()),
            }
            with _quiet(), _late_callbacks():
                self._manager().save(number, args=ocp.args.Composite(**items), force=True)
        except TrainingError:
            raise
        except Exception as error:  # orbax and tensorstore raise many kinds for a full disk
            raise TrainingError(
                f"the checkpoint {self.folder / str(number)} cannot be written: "
                f"{_first_line(error)}"
            ) from error

    def read(self, number: int, like: Any) -> tuple[Any, StateRecord | None]:
        """Return a checkpoint and its record; None where an earlier version wrote it.

        Raises:
          DamagedError: its checksum does not fit, or it cannot be read.
          TrainingError: it is whole, but of another run.
        """
        where = self.folder / str(number)
        record = self.record(number)
        expected = _without_empty(like)
        if record is not None and record.structure != structure_checksum(expected):
            raise TrainingError(f"the checkpoint {where} does not fit these settings")
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, expected)
        name = _STATE if record else _EARLIER
        try:
            args = ocp.args.Composite(**{name: ocp.args.StandardRestore(abstract)})
            with _quiet():
                found = jax.device_get(self._manager().restore(number, args=args)[name])
        except Exception as error:  # orbax and tensorstore raise many kinds for damaged files
            kind = DamagedError if record else TrainingError
            what = "is damaged" if record else "is damaged, or does not fit these settings"
            raise kind(f"the checkpoint {where} {what}: {_first_line(error)}") from error
        if record is not None and record.arrays != arrays_checksum(found):
            raise DamagedError(
                f"the checkpoint {where} is damaged: the checksum of its arrays does not fit"
            )
        whole = jax.tree.map(
            lambda leaf, saved: saved if leaf.size else np.zeros(leaf.shape, leaf.dtype),
            like,
            found,
        )
        return whole, record

    def record(self, number: int) -> StateRecord | None:
        """Return the record of a checkpoint; None where an earlier version wrote it.

        Raises:
          DamagedError: it is not what was written.
          TrainingError: it is of another run.
        """
        where = self.folder / str(number)
        if (where / _EARLIER).is_dir():
            return None
        try:
            args = ocp.args.Composite(**{_RECORD: ocp.args.JsonRestore()})
            with _quiet():
                values = self._manager().restore(number, args=args)[_RECORD]
        except Exception as error:
            raise DamagedError(
                f"the checkpoint {where} is damaged: its record cannot be read"
            ) from error
        record = StateRecord.from_json(values, f"the checkpoint {where}")
        for name, ours in self._run._asdict().items():
            theirs = getattr(record, name)
            if ours and theirs and ours != theirs:
                raise TrainingError(
                    f"the checkpoint {where} was written by a run with other {name} than this one; "
                    "it was copied here, or config.json was edited"
                )
        return record

    def delete(self, number: int) -> None:
        """Remove a checkpoint."""
        self._manager().delete(number)

    def close(self) -> None:
        """Wait until everything is written."""
        if self._opened is not None:
            self._opened.close()

    def _make_folder(self) -> None:
        if not self.folder.parents[1].is_dir():  # the run folder
            raise TrainingError(
                f"the run folder {self.folder.parents[1]} was removed or renamed during the "
                "training; nothing more can be saved"
            )
        self._opened = None
        self.folder.mkdir(parents=True)

    def _manager(self) -> ocp.CheckpointManager:
        if self._opened is None:
            options = ocp.CheckpointManagerOptions(
                multiprocessing_options=_alone(),
                max_to_keep=self._keep,
                create=False,
                cleanup_tmp_directories=self._writes,
                enable_async_checkpointing=False,
            )
            items = (_STATE, _RECORD, _EARLIER)
            self._opened = ocp.CheckpointManager(self.folder, item_names=items, options=options)
        return self._opened


def _alone() -> Any:
    """Return options with which this process waits for no other: it alone writes."""
    options = ocp.checkpoint_manager.MultiprocessingOptions
    if jax.process_count() == 1:
        return options()
    return options(primary_host=jax.process_index(), active_processes={jax.process_index()})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep orbax from logging, with tracebacks, the errors that it raises."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _late_callbacks() -> Iterator[None]:
    """Keep quiet what threads of tensorstore still print after a save has failed."""
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            yield
        except Exception:
            time.sleep(_LATE)
            raise


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _without_empty(tree: Any) -> Any:
    """Return the tree with None for arrays without entries, which orbax does not store.

    A network of all genes has a readout to none.
    """
    return jax.tree.map(lambda leaf: leaf if leaf.size else None, tree)
