"""A checkpoint of the original, as Lightning writes it, or a file with its state_dict alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.original.inert_values import Called, everything_in, is_larger_than
from gpo_vae_jax.original.torch_archive import read_archive

_MARKER = "guide.param_dict.q_mask_"
_INDEX = "pandas.core.indexes.base._new_Index"
_ARRAYS = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_MOST = 100_000  # values among the settings
_DROPPED = ("model", "guide", "x_normalization_stats")  # objects among the settings


class Checkpoint(NamedTuple):
    """What a checkpoint holds of the model, all of it plain values and arrays."""

    state: dict[str, np.ndarray]  # tensors by name, which begin with "guide." or "model."
    genes: tuple[str, ...]  # G names in the order of the model; () where the file has none
    settings: dict[str, Any]  # the YAML that it was trained with, nested; {} where it has none
    cells: np.ndarray | None  # [T] training cells of each treatment
    epoch: int | None
    step: int | None


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint without executing any of it; torch is not needed.

    The prefix of the module that wraps the model is removed from the names of tensors.

    Raises:
      DataError: the file is no archive of torch.save, or holds no GPO-VAE.
    """
    loaded = read_archive(path)
    loaded = loaded if isinstance(loaded, Mapping) else {}
    state = loaded.get("state_dict", loaded)
    tensors = {
        str(name): value
        for name, value in (state.items() if isinstance(state, Mapping) else ())
        if isinstance(value, np.ndarray)
    }
    prefix = next((name[: name.index(_MARKER)] for name in tensors if _MARKER in name), None)
    if prefix is None:
        raise DataError(f"{path} holds no GPO-VAE: it has no tensor {_MARKER}logits or _probs")
    own = {name[len(prefix) :]: v for name, v in tensors.items() if name.startswith(prefix)}
    settings = loaded.get("hyper_parameters")
    settings = settings if isinstance(settings, dict) else {}
    if is_larger_than(settings.get("config"), _MOST):
        raise DataError(f"{path} has more than {_MOST:,} settings, which no training has")
    n_genes = next(
        (len(v) for name, v in own.items() if name == "model.decoder.log_concentration"), None
    )
    return Checkpoint(
        state=own,
        genes=_names_in(settings, n_genes),
        settings=_plain(settings.get("config")),
        cells=tensors.get("D_obs_counts_train"),
        epoch=_whole(loaded.get("epoch")),
        step=_whole(loaded.get("global_step")),
    )


def _names_in(settings: Mapping[str, Any], n_genes: int | None) -> tuple[str, ...]:
    """Return the names of genes: the text in the pickled pandas Index, where there is one."""
    for one in everything_in(dict(settings)):
        if not isinstance(one, Called) or one.name != _INDEX:
            continue
        for array in everything_in(one.arguments):
            if isinstance(array, Called) and array.name in _ARRAYS:
                state = array.state if isinstance(array.state, tuple) else ()
                names = state[4] if len(state) == 5 and isinstance(state[4], list) else []
                fits = n_genes is None or len(names) == n_genes
                if names and fits and all(isinstance(name, str) for name in names):
                    return tuple(names)
    return ()


def _plain(value: Any) -> dict[str, Any]:
    """Return the settings as nested dictionaries of plain values; inert objects are left out."""
    if not isinstance(value, Mapping):
        return {}
    found: dict[str, Any] = {}
    for key, entry in value.items():
        if not isinstance(key, str) or (key in _DROPPED and not isinstance(entry, str)):
            continue
        if isinstance(entry, Mapping):
            found[key] = _plain(entry)
        elif isinstance(entry, (str, int, float, bool, type(None))):
            found[key] = entry
        elif isinstance(entry, (list, tuple)) and all(
            isinstance(one, (str, int, float, bool)) for one in entry
        ):
            found[key] = list(entry)
    return found


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
