"""The folder of a sweep: its grid in sweep.json, and a run folder for each member."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpo_vae_jax import config_io
from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import ConfigError, TrainingError, listed
from gpo_vae_jax.runs.checkpoints import Checkpoints
from gpo_vae_jax.runs.member_folders import folder_names
from gpo_vae_jax.runs.run_folder import RunFolder
from gpo_vae_jax.runs.sealed_json import read_sealed, write_sealed
from gpo_vae_jax.runs.state_record import FREE, StateRecord
from gpo_vae_jax.train.group import has_ended
from gpo_vae_jax.train.members import members_of

SEED = "train.seed"
SWEEP = "sweep.json"
MEMBERS = "members"  # the folder of the run folders


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Base settings, and the values of each setting of the grid by its path."""

    base: Config
    grid: Mapping[str, tuple[Any, ...]]

    @classmethod
    def of(cls, base: Config, grid: Mapping[str, Sequence[Any]]) -> Sweep:
        """Check a grid against the settings.

        Raises:
          ConfigError: a setting is unknown, a value is impossible or named twice, or there is only
            one run.
        """
        sweep = cls(base, {path: tuple(values) for path, values in grid.items()})
        if len(sweep.configs()) < 2:
            raise ConfigError(
                "the sweep has one run only; name several values, such as --seeds 0-4 or "
                "--grid objective.penalty_coeff=1,5,10"
            )
        return sweep

    def configs(self) -> list[Config]:
        """Return the settings of every member: seeds within settings."""
        settings = {path: values for path, values in self.grid.items() if path != SEED}
        return members_of(self.base, self.grid.get(SEED), settings)

    def names(self) -> list[str]:
        """Return the folder name of every member, which its settings alone decide.

        Every setting of the grid is in it, so that names stay when a grid is extended.
        """
        return folder_names(self.configs(), [path for path in self.grid if path != SEED])


class SweepFolder:
    """The files of a sweep."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.file = self.path / SWEEP

    def member(self, name: str) -> RunFolder:
        """Return the run folder of a member."""
        return RunFolder(self.path / MEMBERS / name)

    def claim(self, sweep: Sweep) -> None:
        """Start a sweep in the folder, or go on with the one in it, whose grid may have grown.

        Raises:
          TrainingError: the folder holds another sweep, a run, or other files.
        """
        if self.file.exists():
            before = self.read()
            changed = [
                f"{path} was {old!r}, is {new!r}"
                for path, old, new in config_io.differences(before.base, sweep.base)
                if path not in FREE
            ]
            gone = [name for name in before.names() if name not in sweep.names()]
            if changed or gone:
                what = "; ".join(changed) or f"its grid lacks {listed(gone, 3)}"
                raise TrainingError(
                    f"{self.path} holds another sweep: {what}. Go on with the same settings and at "
                    "least the same grid, or name another folder"
                )
        elif self.path.exists() and any(self.path.iterdir()):
            raise TrainingError(f"{self.path} is not empty and holds no sweep; name another folder")
        self.path.mkdir(parents=True, exist_ok=True)
        grid = {path: list(values) for path, values in sweep.grid.items()}
        write_sealed(self.file, {"base": config_io.to_dict(sweep.base), "grid": grid})

    def read(self) -> Sweep:
        """Return the sweep in the folder (raises TrainingError, ConfigError)."""
        if not self.file.exists():
            raise TrainingError(f"{self.path} holds no sweep: {SWEEP} is missing")
        values = read_sealed(self.file)
        return Sweep.of(config_io.from_dict(values["base"]), values["grid"])

    def last_record(self, name: str) -> StateRecord | None:
        """Return the record of a member's last state; None where it has none."""
        folder = self.member(name)
        if not folder.path.is_dir():
            return None
        checkpoints = Checkpoints(folder.checkpoints)
        record = checkpoints.last_record()
        checkpoints.close()
        return record

    def has_finished(self, name: str) -> bool:
        """Return whether a member's training has come to its end."""
        record = self.last_record(name)
        if record is None:
            return False
        return has_ended(record.epoch, record.best_epoch, self.member(name).read_config().train)
