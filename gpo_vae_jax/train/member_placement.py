"""How members are trained: which at once, on which devices, and what that takes of their memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.train.cells_in import DeviceMemory, device_memory
from gpo_vae_jax.train.layout import MEMBERS, Layout
from gpo_vae_jax.train.members import programs_of
from gpo_vae_jax.types import Dataset


class Placement(NamedTuple):
    """The programs of a training, and the memory of each."""

    programs: list[list[int]]  # the members of each, by position
    memory: list[DeviceMemory]  # of the first device
    together: bool  # whether the members of a program advance at once

    @property
    def largest(self) -> DeviceMemory:
        """Return the memory of the program that takes most."""
        return max(self.memory, key=lambda memory: memory.needed)


def placement(
    dataset: Dataset, configs: Sequence[Config], together: bool | None = None
) -> Placement:
    """Decide how members are trained.

    Args:
      dataset: in memory or on disk.
      configs: of the members, every open size chosen.
      together: whether members of a program advance at once. By default they do where that gains
        time, which is not on a CPU, and where the device has room for all of them.

    Raises:
      ConfigError: members are to advance at once, but their cells come in as batches; or settings
        and data do not fit together.
    """
    programs = programs_of(configs, dataset.sizes)
    alone = [device_memory(dataset, configs[places[0]]) for places in programs]
    streamed = any(memory.streamed for memory in alone)
    if together and streamed:
        raise ConfigError(
            "together=True needs all cells in the memory of the device: each member has batches of "
            "its own; set together=False, or config.data.cells_in='device'"
        )
    at_once = [
        memory._replace(members=_on_a_device(dataset, configs[places[0]], len(places)))
        for memory, places in zip(alone, programs, strict=True)
    ]
    if together is None:
        together = not on_cpu() and not streamed and all(memory.fits for memory in at_once)
    return Placement(programs, at_once if together else alone, together)


def layout_of(dataset: Dataset, config: Config, n_members: int) -> Layout | None:
    """Return how members that are trained at once are laid out over devices."""
    n_cells = len(dataset.splits["train"].cells.weight)
    batch_size = min(config.train.batch_size, n_cells)
    return Layout.of(config.devices, n_members, dataset.sizes.n_genes, batch_size)


def _on_a_device(dataset: Dataset, config: Config, n_members: int) -> int:
    layout = layout_of(dataset, config, n_members)
    return n_members if layout is None else layout.lanes(n_members) // layout.mesh.shape[MEMBERS]
