"""What is stored beside the arrays of a checkpoint: their checksum, and which run they are of."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import jax
import numpy as np

from gpo_vae_jax import config_io
from gpo_vae_jax.config import Config
from gpo_vae_jax.runs.sealed_json import DamagedError, checksum, sealed, unsealed

# Settings that may change between the parts of a resumed run.
FREE = frozenset({
    "name", "data.path", "data.cells_in", "data.store",
    "train.max_epochs", "train.patience", "train.save_every_seconds",
    "train.checkpoint_every_steps", "devices.members", "devices.cells", "devices.genes",
})  # fmt: skip


@dataclasses.dataclass(frozen=True)
class StateRecord:
    """One checkpoint's record; "" and None where the run does not say."""

    arrays: str  # checksum of the arrays
    structure: str  # checksum of their names, shapes and types
    settings: str = ""  # `settings_fingerprint` of the run
    data: str = ""  # fingerprint of the data set
    epoch: int = 0  # epochs finished
    best_epoch: int = -1
    best_loss: float | None = None
    history: str = ""  # metrics.csv up to this epoch

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values with a checksum."""
        return sealed(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, values: Any, where: str) -> StateRecord:
        """Return what `to_json` returned (raises DamagedError)."""
        rest = unsealed(values, where)
        if not {"arrays", "structure"} <= set(rest):
            raise DamagedError(f"{where} is damaged: it lacks the checksum of the arrays")
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in rest.items() if name in known})


def settings_fingerprint(config: Config) -> str:
    """Return a hash of every setting that may not change in a resumed run and is no default."""
    changed = {
        path: value
        for path, _, value in config_io.differences(Config(), config)
        if path not in FREE
    }
    return checksum(json.loads(json.dumps(changed)))


def arrays_checksum(tree: Any) -> str:
    """Return a hash of every array of a tree: its name, shape, type and values."""
    digest = hashlib.blake2b(digest_size=16)
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        array = np.asarray(leaf)
        digest.update(_described(path, array).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def structure_checksum(tree: Any) -> str:
    """Return a hash of the names, shapes and types of a tree's arrays."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    text = "".join(_described(path, leaf) for path, leaf in leaves)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _described(path: tuple[Any, ...], leaf: Any) -> str:
    return f"{jax.tree_util.keystr(path)} {tuple(leaf.shape)} {np.dtype(leaf.dtype)}\n"
