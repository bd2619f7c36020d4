"""The compiled epoch of a run, and the memory that compiling it took."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax

from gpo_vae_jax.config import Config
from gpo_vae_jax.train.epoch import EpochReport, run_epoch
from gpo_vae_jax.train.state import TrainState
from gpo_vae_jax.types import Sizes

EpochProgram = Callable[..., tuple[TrainState, EpochReport]]


def epoch_program(arguments: tuple[Any, ...], config: Config, sizes: Sizes, n_rows: int | None):
    """Compile `run_epoch` for arguments like these; once for each kind, as jit does.

    Unlike a call of `run_epoch` it leaves the compiler's memory to the run: `give_memory_back`.

    Args:
      arguments: (state, train, validation, tables), as the program will be given them.
    """
    leaves, tree = jax.tree.flatten(arguments)
    kinds = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    return _compiled(kinds, tree, config, sizes, n_rows)


def give_memory_back() -> bool:
    """Return freed memory to the system where glibc can; say whether it could.

    A compiler frees what it took, 0.4 GiB for an epoch, but glibc keeps it for later small pieces.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return False
    return bool(trim(0))


@lru_cache(maxsize=4)
def _compiled(kinds, tree, config: Config, sizes: Sizes, n_rows: int | None) -> EpochProgram:
    arguments = jax.tree.unflatten(tree, kinds)
    program = run_epoch.lower(*arguments, config=config, sizes=sizes, n_rows=n_rows).compile()
    give_memory_back()
    return program
