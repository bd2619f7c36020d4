"""The run folder: the files of one run, and whether a run may use the folder."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpo_vae_jax import config_io
from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import TrainingError
from gpo_vae_jax.evaluate.file_names import possible_outputs
from gpo_vae_jax.files import write_text

# Settings that may change between the parts of a resumed run.
_FREE = {("train", "max_epochs"), ("train", "patience"), ("train", "save_every_seconds")}
_FREE |= {("train", "checkpoint_every_steps"), ("data", "path"), ("name",)}
_FREE |= {("data", "cells_in"), ("data", "store")}  # the same cells


class RunFolder:
    """The paths of a run's files; each is written beside its place, then renamed."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.run = self.path / "run.json"
        self.metrics = self.path / "metrics.csv"
        self.result = self.path / "result.json"
        self.checkpoints = self.path / "checkpoints"

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
        if self.config.exists() or self.run.exists():
            if not overwrite:
                raise TrainingError(
                    f"{self.path} already holds a run; continue it with --resume, replace it with "
                    "--overwrite, or name another folder"
                )
            if self.checkpoints.exists():
                shutil.rmtree(self.checkpoints)
            own = (self.metrics, self.result, self.run, self.config)
            for file in (*possible_outputs(self.path), *own):
                file.unlink(missing_ok=True)
        elif self.path.exists() and self._strangers(beside_results):
            raise TrainingError(f"{self.path} is not empty and holds no run; name another folder")
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.run, json.dumps(description, indent=1) + "\n")
        write_text(self.config, config_io.to_json(config))

    def _strangers(self, beside_results: bool) -> list[Path]:
        """Return the files in the folder that a new run may not stand beside."""
        files = [path for path in self.path.rglob("*") if not path.is_dir()]
        results = set(possible_outputs(self.path)) if beside_results else set()
        return [path for path in files if path not in results]

    def resume(self, config: Config, description: dict[str, Any]) -> None:
        """Claim the folder for the run in it, which may now be told to train longer.

        Raises:
          TrainingError: the run was started with other settings or on other data.
        """
        changed = [
            f"{'.'.join(path)} was {old!r}, is {new!r}"
            for path, old, new in _differences(self.read_config(), config)
            if path not in _FREE
        ]
        if changed:
            raise TrainingError(
                f"{self.path} was started with other settings: {'; '.join(changed)}. Resume with "
                "the same settings, or start anew in another folder"
            )
        if self.read_run()["data"]["fingerprint"] != description["data"]["fingerprint"]:
            raise TrainingError(
                f"{self.path} was started on other data; resume on the same prepared data"
            )
        for file in (*possible_outputs(self.path), self.result):  # of the shorter run
            file.unlink(missing_ok=True)
        write_text(self.config, config_io.to_json(config))

    def read_config(self) -> Config:
        """Return the settings of the run (raises TrainingError, ConfigError)."""
        return config_io.from_json(self._read(self.config))

    def read_run(self) -> dict[str, Any]:
        """Return the description of the run (raises TrainingError)."""
        return json.loads(self._read(self.run))

    def read_result(self) -> dict[str, Any]:
        """Return how the run ended; nothing where it was killed."""
        return json.loads(self.result.read_text()) if self.result.exists() else {}

    def _read(self, file: Path) -> str:
        if not file.exists():
            raise TrainingError(f"{self.path} holds no run: {file.name} is missing")
        return file.read_text()


def _differences(
    old: Any, new: Any, at: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    for field in dataclasses.fields(old):
        a, b = getattr(old, field.name), getattr(new, field.name)
        if dataclasses.is_dataclass(a):
            yield from _differences(a, b, (*at, field.name))
        elif a != b:
            yield (*at, field.name), a, b
