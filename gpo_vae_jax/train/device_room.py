"""The memory of a device: what there is, what a step takes of it, and whether a program fits."""

from __future__ import annotations

from typing import Any

import jax

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.memory import available_bytes
from gpo_vae_jax.spec import Spec

FIX = (
    "set data.cells_in='host' or 'disk', train fewer seeds at once (together=False), or lower "
    "train.batch_size"
)


def device_stats() -> dict[str, int]:
    """Return what the first device counts of its memory; nothing on a CPU."""
    return jax.local_devices()[0].memory_stats() or {}


def free_bytes() -> float:
    """Return the memory that the first device has left; on a CPU that of the host."""
    stats = device_stats()
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return available_bytes()


def step_bytes(spec: Spec, params_bytes: int, batch_size: int) -> int:
    """Estimate what a member's epoch takes on a GPU besides its arguments.

    Two arrays of all particles, cells and genes, six of cells and genes, fourteen of all samples of
    the network, and gradients and parameters once more. Epochs of the published shapes, compiled
    for an H100, take 8 to 21 % less (docs/performance.md).

    Args:
      spec: sizes and settings.
      params_bytes: of the parameters.
      batch_size: B.
    """
    sizes, particles = spec.sizes, spec.train.n_particles
    genes = (2 * particles + 6) * batch_size * sizes.n_genes
    network = 14 * particles * sizes.n_perturbed * sizes.n_treatments
    return 4 * (genes + network) + 2 * params_bytes


def beside_arguments(program: Any) -> int | None:
    """Return the bytes that a compiled program takes besides its arguments, if it is known."""
    try:
        found = program.memory_analysis()
        return found.temp_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    except (AttributeError, NotImplementedError, RuntimeError):  # not of every device
        return None


def check_room(program: Any) -> None:
    """Raise ConfigError if a program does not fit on the device, where its arguments are already.

    Nothing is checked where the device does not count its memory, as on a CPU.
    """
    if "bytes_limit" not in device_stats():
        return
    needed, free = beside_arguments(program), free_bytes()
    if needed is not None and needed > free:
        device = jax.local_devices()[0]
        raise ConfigError(
            f"an epoch needs {needed / 2**30:,.2f} GiB of {device.platform} {device.id} besides "
            f"cells and state, and {free / 2**30:,.2f} GiB are free: {FIX}"
        )
