"""Trained models to run folders and back."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gpo_vae_jax import data
from gpo_vae_jax.config import Config
from gpo_vae_jax.config_io import differences
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.files import write_text
from gpo_vae_jax.model.trained import Member, Trained
from gpo_vae_jax.runs.checkpoint_series import RunFingerprints
from gpo_vae_jax.runs.checkpoints import Checkpoints
from gpo_vae_jax.runs.member_folders import (
    MEMBERS,
    check_members_folder,
    folder_names,
    member_names,
    write_members,
)
from gpo_vae_jax.runs.metrics_file import read_history
from gpo_vae_jax.runs.run_folder import RunFolder
from gpo_vae_jax.runs.state_record import StateRecord, settings_fingerprint
from gpo_vae_jax.runs.writer import write_result
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.description import fingerprint
from gpo_vae_jax.train.group import has_ended
from gpo_vae_jax.train.state import TrainState, init_state
from gpo_vae_jax.types import Dataset, Sizes


def save(trained: Trained, folder: str | Path, *, overwrite: bool = False) -> None:
    """Write a trained model as a run folder, which `load` and every command can open.

    Several members get a folder each, `seed0`, `seed1`, ..., under one (`folder_names`). The state
    of the optimiser is not part of a trained model, so a saved run cannot be resumed.

    Raises:
      TrainingError: the folder holds a run and `overwrite` is not set, or files that no run wrote.
    """
    folder = Path(folder)
    if len(trained) == 1:
        _save_member(trained, folder, overwrite)
        return
    names = folder_names([trained.config_of(member) for member in trained.members])
    check_members_folder(folder, names)
    for name, one in zip(names, trained, strict=True):
        _save_member(one, folder / name, overwrite)
    write_members(folder, names)


def load(folder: str | Path) -> Trained:
    """Read the trained model of a run folder, or of a folder of several members.

    Raises:
      TrainingError: there is no run, or it has no checkpoint yet.
      ConfigError: the settings of the run cannot be read.
    """
    path = Path(folder)
    if not (path / MEMBERS).exists():
        return _load_member(RunFolder(path))
    found = [_load_member(RunFolder(path / name)) for name in member_names(path)]
    members = [
        dataclasses.replace(one.best, settings=_settings_apart(found[0].config, one.config))
        for one in found
    ]
    return dataclasses.replace(found[0], members=tuple(members))


def load_with_data(folder: str | Path, data_path: str = "") -> tuple[Trained, Dataset]:
    """Read a run and the data that it was trained on.

    Args:
      data_path: where the prepared file is now, if it was moved.

    Raises:
      TrainingError: there is no run, or it has no checkpoint yet.
      DataError: the data is missing, or is not what the run was trained on.
    """
    trained = load(folder)
    config = trained.config
    if data_path:
        moved = dataclasses.replace(config.data, path=data_path, simulated=False)
        config = dataclasses.replace(config, data=moved)
    dataset = data.from_config(config)
    if fingerprint(dataset) != trained.description["data"]["fingerprint"]:
        raise DataError(
            f"{folder} was trained on other data than {config.data.path or 'is simulated now'}; "
            "name the prepared file it was trained on"
        )
    return dataclasses.replace(trained, config=config, genes=tuple(dataset.genes)), dataset


def _save_member(trained: Trained, path: Path, overwrite: bool) -> None:
    folder, member = RunFolder(path), trained.best
    config = trained.config_of(member)
    description: dict[str, Any] = {**trained.description, "seed": member.seed}
    folder.start(config, description, overwrite, beside_results=True)
    history = member.history.to_csv(index=False) if len(member.history) else ""
    run = RunFingerprints(settings_fingerprint(config), description["data"]["fingerprint"])
    checkpoints = Checkpoints(folder.checkpoints, run, writes=True)
    checkpoints.save_best(max(member.best_epoch, 0), member.params, history)
    checkpoints.close()
    if history:
        write_text(folder.metrics, history)
    write_result(folder, member)


def _load_member(folder: RunFolder) -> Trained:
    config, run = folder.read_config(), folder.read_run()
    sizes = Sizes.from_record(run["sizes"])
    run_of = RunFingerprints(data=run["data"]["fingerprint"])
    checkpoints = Checkpoints(folder.checkpoints, run_of)
    epoch, params, record = checkpoints.restore_best(_like(config, sizes))
    last = checkpoints.last_record() or record
    checkpoints.close()
    history = read_history(folder.metrics, last.history if last else "")
    result = folder.read_result()
    member = Member(
        seed=config.train.seed,
        params=params,
        best_loss=_best_loss(result, history, epoch),
        best_epoch=epoch,
        n_epochs=result.get("n_epochs", len(history)),
        history=history,
        interrupted=result.get("interrupted", not _has_finished(last, config)),
    )
    return Trained(
        config=config,
        sizes=sizes,
        treatments=tuple(run["treatments"]),
        genes=tuple(run.get("genes", ())),
        members=(member,),
        description=run,
    )


def _best_loss(result: dict, history, epoch: int) -> float:
    if result.get("best_loss") is not None:
        return float(result["best_loss"])
    if len(history) and (history["epoch"] == epoch).any():
        return float(history.loc[history["epoch"] == epoch, "val_loss"].iloc[0])
    return math.inf


def _settings_apart(base: Config, config: Config) -> dict[str, Any]:
    """Return the settings in which a member differs from the first, its seed apart."""
    found = {path: value for path, _, value in differences(base, config)}
    found.pop("train.seed", None)
    return found


def _has_finished(record: StateRecord | None, config: Config) -> bool:
    """Return whether the last state is one with which a training ends; a killed run's is not."""
    return record is not None and has_ended(record.epoch, record.best_epoch, config.train)


def _like(config: Config, sizes: Sizes) -> TrainState:
    """Return zeros shaped as the state of a run with these settings."""
    shapes = jax.eval_shape(partial(init_state, 0, spec=Spec.of(config, sizes)))
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
