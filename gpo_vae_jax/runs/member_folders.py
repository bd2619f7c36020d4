"""A folder of several runs: one for each member of a training."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from gpo_vae_jax.config import Config
from gpo_vae_jax.config_io import differences
from gpo_vae_jax.errors import TrainingError
from gpo_vae_jax.evaluate.file_names import PLOTS, possible_outputs
from gpo_vae_jax.runs.run_folder import RunFolder
from gpo_vae_jax.runs.run_lock import NAME as LOCK
from gpo_vae_jax.runs.sealed_json import DamagedError, read_sealed, write_sealed

MEMBERS = "members.json"  # lists the folders of the members
_LONGEST = 200  # characters of a folder's name


def folder_names(configs: Sequence[Config], paths: Sequence[str] | None = None) -> list[str]:
    """Return a folder name for each member, such as "seed0", or "penalty_coeff=5,seed=0".

    Args:
      configs: of the members.
      paths: settings that are named; by default those in which members differ.
    """
    if paths is None:
        found = {path for one in configs for path, _, _ in differences(configs[0], one)}
        paths = sorted(found - {"train.seed"})
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
            f"{name}={str(value).removesuffix('.0')}"
            for name, value in zip(short, values, strict=True)
        ]
        whole = quote(",".join([*parts, f"seed={config.train.seed}"]), safe="=,+")
        if len(whole) > _LONGEST:
            digest = hashlib.blake2b(whole.encode(), digest_size=6).hexdigest()
            whole = f"{whole[: _LONGEST - len(digest)]}{digest}"
        names.append(whole)
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
