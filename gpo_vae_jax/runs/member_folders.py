"""A folder of several runs: one for each member of a training."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

from gpo_vae_jax.config import Config
from gpo_vae_jax.config_io import differences
from gpo_vae_jax.errors import TrainingError
from gpo_vae_jax.evaluate.file_names import PLOTS, possible_outputs
from gpo_vae_jax.runs.run_folder import RunFolder
from gpo_vae_jax.runs.run_lock import NAME as LOCK
from gpo_vae_jax.runs.sealed_json import DamagedError, read_sealed, write_sealed

MEMBERS = "members.json"  # lists the folders of the members


def folder_names(configs: Sequence[Config]) -> list[str]:
    """Return a folder name for each member: its seed, and the settings in which members differ.

    Such as "seed0", or "penalty_coeff=5,seed=0".
    """
    paths = sorted({path for one in configs for path, _, _ in differences(configs[0], one)})
    paths = [path for path in paths if path != "train.seed"]
    if not paths:
        return [f"seed{config.train.seed}" for config in configs]
    last = [path.split(".")[-1] for path in paths]
    short = [
        name if last.count(name) == 1 else path for name, path in zip(last, paths, strict=True)
    ]
    names = []
    for config in configs:
        values = [functools.reduce(getattr, path.split("."), config) for path in paths]
        parts = [
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in zip(short, values, strict=True)
        ]
        parts.append(f"seed={config.train.seed}")
        names.append(re.sub(r"[^\w.=,+-]", "_", ",".join(parts)))
    return names


def member_names(folder: Path) -> list[str]:
    """Return the folders of members that a folder lists (raises TrainingError)."""
    names = read_sealed(folder / MEMBERS).get("members")
    if not isinstance(names, list) or not names:
        raise DamagedError(f"{folder / MEMBERS} is damaged: it lists no members")
    return [str(name) for name in names]


def write_members(folder: Path, names: Sequence[str]) -> None:
    """List the folders of members in the folder above them."""
    write_sealed(folder / MEMBERS, {"members": list(names)})


def check_members_folder(folder: Path, names: Sequence[str]) -> None:
    """Check that a folder holds nothing but these members (raises TrainingError)."""
    if RunFolder(folder).holds_a_run():
        raise TrainingError(f"{folder} holds a single run; name another folder for several members")
    if not folder.is_dir():
        return
    ours = {*names, MEMBERS, LOCK, PLOTS, *(path.name for path in possible_outputs(folder))}
    strange = sorted(path.name for path in folder.iterdir() if path.name not in ours)
    if strange:
        raise TrainingError(
            f"{folder} is not empty ({strange[0]} is not of this model); name another folder"
        )
