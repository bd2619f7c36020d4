"""Several processes that train together: the first one writes, and all decide alike."""

from __future__ import annotations

import os
from typing import TypeVar

import jax
import numpy as np

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.model.blocks import on_cpu

_Tree = TypeVar("_Tree")
_TOGETHER_ON_CPUS = (0, 5)  # jax with collectives of CPUs by default


def join() -> None:
    """Join the other processes of this job; called before anything else asks for devices.

    jax recognises SLURM, Kubernetes and Open MPI, and goes by JAX_COORDINATOR_ADDRESS,
    JAX_NUM_PROCESSES and JAX_PROCESS_ID where they are set.

    Raises:
      ConfigError: the other processes cannot be found, or CPUs cannot compute together.
    """
    number, place = (os.environ.get(name) for name in ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID"))
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    try:
        jax.distributed.initialize(
            address, None if number is None else int(number), None if place is None else int(place)
        )
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"--distributed: the processes of this job cannot find each other: {error}. Start them "
            "with SLURM or Kubernetes, or set JAX_COORDINATOR_ADDRESS (HOST:PORT of the first), "
            "JAX_NUM_PROCESSES and JAX_PROCESS_ID (0, 1, ...) for each"
        ) from error
    if jax.process_count() > 1 and on_cpu() and jax.__version_info__ < _TOGETHER_ON_CPUS:
        raise ConfigError(
            f"--distributed on CPUs needs jax 0.5 or newer, and this is jax {jax.__version__}; "
            "GPUs compute together with it"
        )


def is_primary() -> bool:
    """Return whether this process is the one that writes and speaks."""
    return jax.process_index() == 0


def agreed(due: bool, stops: bool) -> tuple[bool, bool]:
    """Return the first process's `due`, and whether any process is told to stop.

    Every process must call it as often as the others.
    """
    if jax.process_count() == 1:
        return due, stops
    from jax.experimental import multihost_utils  # has no other home

    told = multihost_utils.process_allgather(np.array([due, stops]))
    return bool(told[0, 0]), bool(told[:, 1].any())


def from_primary(tree: _Tree) -> _Tree:
    """Return the first process's arrays in every process."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    return jax.device_get(multihost_utils.broadcast_one_to_all(tree))
