"""The run folder: the files of one run, and whether a run may use the folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpo_vae_jax import config_io, progress
from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import ConfigError, TrainingError
from gpo_vae_jax.evaluate.file_names import possible_outputs
from gpo_vae_jax.runs.run_lock import NAME as LOCK
from gpo_vae_jax.runs.sealed_json import DamagedError, read_sealed, write_sealed
from gpo_vae_jax.runs.state_record import FREE, StateRecord, settings_fingerprint


class RunFolder:
    """The paths of a run's files; each is written beside its place, then renamed."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.run = self.path / "run.json"
        self.metrics = self.path / "metrics.csv"
        self.result = self.path / "result.json"
        self.checkpoints = self.path / "checkpoints"

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Check, before any work, that a run may use the folder.

        Raises:
          TrainingError: it holds a run and neither is set, or files that no run wrote.
          ConfigError: both are set.
        """
        if resume and overwrite:
            raise ConfigError("resume and overwrite exclude each other: choose one")
        if self.path.exists() and not self.path.is_dir():
            raise TrainingError(f"{self.path} is a file; name a folder for the run")
        if self.holds_a_run():
            if not (resume or overwrite):
                raise TrainingError(
                    f"{self.path} already holds a run; continue it with --resume, replace it with "
                    "--overwrite, or name another folder"
                )
        elif self.path.exists() and self._strangers(beside_results=False):
            raise TrainingError(f"{self.path} is not empty and holds no run; name another folder")

    def holds_a_run(self) -> bool:
        """Return whether a run was started in the folder."""
        return self.config.exists() or self.run.exists() or self.checkpoints.exists()

    def start(
        self,
        config: Config,
        description: dict[str, Any],
        overwrite: bool,
        *,
        beside_results: bool = False,
    ) -> None:
        """Claim the folder for a new run and describe the run in it.

        Args:
          config: settings of the run.
          description: what run.json holds.
          overwrite: whether a run in the folder is replaced.
          beside_results: whether the folder may hold results of an evaluation without a run, as
            where a model is saved after its report was written.

        Raises:
          TrainingError: it holds a run and `overwrite` is not set, or files that no run wrote.
        """
        if not (beside_results and not self.holds_a_run()):
            self.check(resume=False, overwrite=overwrite)
        elif self.path.exists() and self._strangers(beside_results=True):
            raise TrainingError(f"{self.path} is not empty and holds no run; name another folder")
        if self.holds_a_run():
            if self.checkpoints.exists():
                shutil.rmtree(self.checkpoints)
            own = (self.metrics, self.result, self.run, self.config)
            for file in (*possible_outputs(self.path), *own):
                file.unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)
        self._write_run(description)
        self._write_config(config)

    def _strangers(self, beside_results: bool) -> list[Path]:
        """Return the files in the folder that a new run may not stand beside."""
        files = [path for path in self.path.rglob("*") if not path.is_dir()]
        results = set(possible_outputs(self.path)) if beside_results else set()
        return [path for path in files if path not in results and not _is_ours(path)]

    def resume(
        self,
        config: Config,
        description: dict[str, Any],
        last_record: Callable[[], StateRecord | None],
    ) -> None:
        """Claim the folder for the run in it, which may now be told to train longer.

        Where config.json or run.json is damaged or missing, it is written anew if the last
        checkpoint shows that the run had these settings and this data, or if there is none yet.

        Args:
          config: the settings with which the run goes on.
          description: what run.json holds.
          last_record: returns that of the last state, None where none was saved.

        Raises:
          TrainingError: the run was started with other settings or on other data.
        """
        try:
            changed = [
                f"{path} was {old!r}, is {new!r}"
                for path, old, new in config_io.differences(self.read_config(), config)
                if path not in FREE
            ]
        except (TrainingError, ConfigError) as error:
            record, ours = last_record(), settings_fingerprint(config)
            changed = self._repairable(error, record.settings if record else None, ours)
        if changed:
            raise TrainingError(
                f"{self.path} was started with other settings: {'; '.join(changed)}. Resume with "
                "the same settings, or start anew in another folder"
            )
        fingerprint = description["data"]["fingerprint"]
        try:
            same = self.read_run()["data"]["fingerprint"] == fingerprint
        except TrainingError as error:
            record = last_record()
            self._repairable(error, record.data if record else None, fingerprint)
            self._write_run(description)
            same = True
        if not same:
            raise TrainingError(
                f"{self.path} was started on other data; resume on the same prepared data"
            )
        self._write_config(config)

    def forget_results(self) -> None:
        """Remove what was found with the run before it went on."""
        for file in (*possible_outputs(self.path), self.result):
            file.unlink(missing_ok=True)

    def read_config(self) -> Config:
        """Return the settings of the run (raises TrainingError, ConfigError)."""
        values = self._read(self.config)
        try:
            return config_io.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{self.config}: {error}") from error

    def read_run(self) -> dict[str, Any]:
        """Return the description of the run (raises TrainingError)."""
        run = self._read(self.run)
        for name in ("data", "sizes", "treatments"):
            if name not in run:
                raise DamagedError(f"{self.run} is damaged: it lacks {name!r}; restore it")
        return run

    def read_result(self) -> dict[str, Any]:
        """Return how the run ended; nothing where it was killed, or the file is damaged."""
        if not self.result.exists():
            return {}
        try:
            return read_sealed(self.result)
        except DamagedError as error:
            progress.note(f"{error}; going by the last checkpoint instead")
            return {}

    def _read(self, file: Path) -> dict[str, Any]:
        if not file.exists():
            raise TrainingError(f"{self.path} holds no run: {file.name} is missing")
        return read_sealed(file)

    def _repairable(self, error: Exception, recorded: str | None, ours: str) -> list[str]:
        """Say that a file is written anew; raise the error where the checkpoint forbids it."""
        if recorded == ours or (recorded is None and not self._has_checkpoints()):
            what = "the last checkpoint has these" if recorded else "no checkpoint was written yet"
            progress.note(f"{error}. It is written anew: {what}")
            return []
        raise error

    def _has_checkpoints(self) -> bool:
        return self.checkpoints.exists() and any(self.checkpoints.glob("*/*"))

    def _write_config(self, config: Config) -> None:
        write_sealed(self.config, config_io.to_dict(config))

    def _write_run(self, description: dict[str, Any]) -> None:
        write_sealed(self.run, description)


def _is_ours(path: Path) -> bool:
    """Return whether a killed process of ours left a file: a lock, or one half written."""
    return path.name == LOCK or (path.name.startswith(".") and path.suffix == ".part")
