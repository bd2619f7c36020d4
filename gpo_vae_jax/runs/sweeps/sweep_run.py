"""Run the members of a sweep: those of one program together, each kept as a run of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from gpo_vae_jax import progress
from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import ConfigError, TrainingError, listed
from gpo_vae_jax.runs.fit import fit_members
from gpo_vae_jax.runs.sealed_json import read_sealed, write_sealed
from gpo_vae_jax.runs.sweeps.sweep_folder import SweepFolder
from gpo_vae_jax.train.chosen_sizes import with_sizes
from gpo_vae_jax.train.group import DivergedError, EpochEnd, OnEpoch
from gpo_vae_jax.train.members import programs_of
from gpo_vae_jax.types import Dataset

FAILURE = "failure.json"  # in the folder of a member whose training failed
INTERRUPTED = 130  # status of a process


def run_sweep(
    folder: SweepFolder,
    dataset: Dataset,
    *,
    only: Sequence[str] = (),
    listeners: Callable[[str, Config], OnEpoch | None] | None = None,
    progress_shown: bool = True,
) -> bool:
    """Train every member that has not finished; return whether the training was interrupted.

    A member whose loss is not finite is noted as failed, and the others go on.

    Args:
      folder: of the sweep.
      dataset: that all members share.
      only: names of the members to train; by default all.
      listeners: returns what is called after each epoch of a member, by its name and settings.
      progress_shown: whether bars are shown.

    Raises:
      ConfigError: a name is none of a member, or settings and data do not fit.
      TrainingError: a run folder is in use or does not fit.
    """
    sweep = folder.read()
    configs = {
        name: with_sizes(config, dataset)[0]
        for name, config in zip(sweep.names(), sweep.configs(), strict=True)
    }
    strange = [name for name in only if name not in configs]
    if strange:
        raise ConfigError(f"there is no member {strange[0]!r}; there are: {listed(configs)}")
    names = [name for name in only or configs if not folder.has_finished(name)]
    for group in programs_of([configs[name] for name in names], dataset.sizes):
        waiting = [names[i] for i in group]
        while waiting:
            hear = [listeners(name, configs[name]) if listeners else None for name in waiting]
            try:
                found = fit_members(
                    dataset,
                    [(configs[name], folder.member(name).path) for name in waiting],
                    resume=True,
                    progress=progress_shown,
                    on_epoch=partial(_tell, hear),
                )
            except TrainingError as error:
                if not isinstance(error.__cause__, DivergedError):
                    raise
                failed = waiting.pop(error.__cause__.member)
                progress.note(f"{failed} failed: {error}")
                write_sealed(folder.member(failed).path / FAILURE, {"reason": str(error)})
                continue
            if any(trained.interrupted for trained in found):
                return True
            break
    return False


def _tell(hear: Sequence[OnEpoch | None], end: EpochEnd) -> bool | None:
    listener = hear[end.member]
    return None if listener is None else listener(end)


def failure_of(folder: Path) -> str:
    """Return why the training of a member failed; "" where it did not."""
    file = folder / FAILURE
    return str(read_sealed(file).get("reason", "unknown")) if file.exists() else ""


def run_in_processes(folder: SweepFolder, jobs: int, more: Sequence[str] = ()) -> bool:
    """Train members in processes of their own, `jobs` at a time; return whether interrupted.

    Each process trains one member and reads the data itself; its output goes into train.log in the
    member's folder.

    Raises:
      TrainingError: a process failed otherwise than by a loss that is not finite.
    """
    names = [name for name in folder.read().names() if not folder.has_finished(name)]
    bar = progress.bar(len(names), "run", label=f"{jobs} processes")

    def train(name: str) -> int:
        status = run_member(folder, name, more)
        bar.update()
        return status

    with ThreadPoolExecutor(jobs) as pool:
        found = dict(zip(names, pool.map(train, names), strict=True))
    bar.close()
    if INTERRUPTED in found.values() or any(status < 0 for status in found.values()):
        return True
    wrong = [name for name, status in found.items() if status]
    if wrong:
        log = folder.path / "logs" / f"{wrong[0]}.log"
        lines = log.read_text(errors="replace").strip().splitlines()
        raise TrainingError(f"{wrong[0]} ended with an error; {log} says: {lines[-1:]}")
    return False


def run_member(folder: SweepFolder, name: str, more: Sequence[str] = ()) -> int:
    """Train one member in a process of its own; return the status of the process."""
    logs = folder.path / "logs"
    logs.mkdir(exist_ok=True)
    with (logs / f"{name}.log").open("ab") as log:
        return subprocess.run(member_command(folder, name, more), stdout=log, stderr=log).returncode


def member_command(folder: SweepFolder, name: str, more: Sequence[str] = ()) -> list[Any]:
    """Return the command that trains one member, wherever the folder can be reached."""
    words = ["sweep", f"--workdir={folder.path}", f"--only={name}", *more]
    return [sys.executable, "-m", "gpo_vae_jax", *words]
