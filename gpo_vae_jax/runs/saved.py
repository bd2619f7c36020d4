"""Trained models to run folders and back."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp

from gpo_vae_jax import data
from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import DataError, TrainingError
from gpo_vae_jax.files import write_text, written_beside
from gpo_vae_jax.model import init_params
from gpo_vae_jax.model.trained import Member, Trained
from gpo_vae_jax.runs.checkpoints import Checkpoints
from gpo_vae_jax.runs.fit import write_result
from gpo_vae_jax.runs.metrics_file import read_history
from gpo_vae_jax.runs.run_folder import RunFolder
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.description import fingerprint
from gpo_vae_jax.types import Dataset, Params, Sizes

MEMBERS = "members.json"  # lists the folders of the members, where there are several


def save(trained: Trained, folder: str | Path, *, overwrite: bool = False) -> None:
    """Write a trained model as a run folder, which `load` and every command can open.

    Several members get a folder each, `seed0`, `seed1`, ..., under one. The state of the optimiser
    is not part of a trained model, so a saved run cannot be resumed.

    Raises:
      TrainingError: the folder holds a run and `overwrite` is not set, or files that no run wrote.
    """
    folder = Path(folder)
    if len(trained) == 1:
        _save_member(trained, folder, overwrite)
        return
    names = [f"seed{member.seed}" for member in trained.members]
    strange = (
        [p.name for p in folder.iterdir() if p.name not in (*names, MEMBERS)]
        if (folder.is_dir())
        else []
    )
    if strange:
        raise TrainingError(
            f"{folder} is not empty ({strange[0]} is not of this model); name another folder"
        )
    for name, one in zip(names, trained, strict=True):
        _save_member(one, folder / name, overwrite)
    write_text(folder / MEMBERS, json.dumps({"members": names}, indent=1) + "\n")


def load(folder: str | Path) -> Trained:
    """Read the trained model of a run folder, or of a folder of several members.

    Raises:
      TrainingError: there is no run, or it has no checkpoint yet.
      ConfigError: the settings of the run cannot be read.
    """
    path = Path(folder)
    if not (path / MEMBERS).exists():
        return _load_member(RunFolder(path))
    names = json.loads((path / MEMBERS).read_text())["members"]
    members = [_load_member(RunFolder(path / name)) for name in names]
    return dataclasses.replace(members[0], members=tuple(one.best for one in members))


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
    train = dataclasses.replace(trained.config.train, seed=member.seed)
    config = dataclasses.replace(trained.config, train=train)
    description = {**trained.description, "seed": member.seed}
    folder.start(config, description, overwrite, beside_results=True)
    checkpoints = Checkpoints(folder.checkpoints)
    checkpoints.save_best(max(member.best_epoch, 0), member.params)
    checkpoints.close()
    if len(member.history):
        with written_beside(folder.metrics) as beside:
            member.history.to_csv(beside, index=False)
    write_result(folder, member)


def _load_member(folder: RunFolder) -> Trained:
    config, run = folder.read_config(), folder.read_run()
    sizes = Sizes.from_record(run["sizes"])
    checkpoints = Checkpoints(folder.checkpoints)
    epoch, params = checkpoints.restore_best(_like(config, sizes))
    checkpoints.close()
    history, result = read_history(folder.metrics), folder.read_result()
    member = Member(
        seed=config.train.seed,
        params=params,
        best_loss=_best_loss(result, history, epoch),
        best_epoch=epoch,
        n_epochs=result.get("n_epochs", len(history)),
        history=history,
        interrupted=result.get("interrupted", True),  # no result: the process was killed
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


def _like(config: Config, sizes: Sizes) -> Params:
    """Return zeros shaped as the parameters of these settings."""
    spec = Spec.of(config, sizes)
    shapes = jax.eval_shape(lambda: init_params(jax.random.key(0), spec))
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
