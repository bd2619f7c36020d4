"""How a training is laid out over several devices: members, cells of a batch, and genes.

The arrays are global and the programs are those of one device: jit and NamedSharding divide the
work. Results differ from those of one device only in the order of sums.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gpo_vae_jax.config import DevicesConfig
from gpo_vae_jax.errors import ConfigError, counted
from gpo_vae_jax.types import Array, Batch, Split

MEMBERS, CELLS, GENES = "members", "cells", "genes"  # axes of the mesh
_Tree = TypeVar("_Tree")


@dataclasses.dataclass(frozen=True)
class Layout:
    """Devices in a mesh with the axes members, cells and genes; hashable, so a static argument.

    Parameters are whole on every device, except that those with an entry for each gene are divided
    over the genes axis. The data is whole on every device but for the genes; each device takes its
    cells of a batch.
    """

    mesh: Mesh
    n_genes: int  # G: an axis of this length, the last one, is divided over the genes axis

    @classmethod
    def of(
        cls,
        config: DevicesConfig,
        n_members: int,
        n_genes: int,
        batch_size: int,
        devices: Sequence[jax.Device] | None = None,
    ) -> Layout | None:
        """Return the layout that the settings ask for; None where one device is to do it all.

        A number of 0 is chosen: members first, as far as there are members and devices, then cells,
        as far as they divide the batch. Lanes without a member fill the devices up. Where several
        processes train together all devices take part: cells=1 is then chosen, too.

        Raises:
          ConfigError: there are fewer devices than asked for, or what they share is not divisible.
        """
        found = list(jax.devices() if devices is None else devices)
        genes = config.genes
        free = len(found) // max(genes, 1)
        members = min(config.members or free, n_members)
        asked = 0 if config.cells == 1 and jax.process_count() > 1 else config.cells
        cells = asked or _largest(batch_size, free // members)
        wanted = members * cells * genes
        if wanted > len(found):
            raise ConfigError(
                f"config.devices asks for {members} x {cells} x {genes} = {wanted} devices (members"
                f" x cells x genes); there are {len(found)}. 0 takes what there is"
            )
        for name, number, of, what in (
            ("cells", cells, batch_size, "cells of a batch (train.batch_size)"),
            ("genes", genes, n_genes, "genes"),
        ):
            if number > 1 and of % number:
                raise ConfigError(
                    f"config.devices.{name}={number} does not divide the {of:,} {what}; choose a "
                    f"divisor, such as {_largest(of, number)}"
                )
        if wanted == 1 and jax.process_count() == 1:
            return None
        grid = np.array(found[:wanted]).reshape(members, cells, genes)
        if {device.process_index for device in grid.flat} != set(range(jax.process_count())):
            raise ConfigError(
                f"{jax.process_count()} processes train together, but config.devices takes only "
                f"{counted(wanted, 'device')} of {len(found)}; let every process have one: set "
                "config.devices.cells=0"
            )
        return cls(Mesh(grid, (MEMBERS, CELLS, GENES)), n_genes)

    def lanes(self, n_members: int) -> int:
        """Return the number of lanes for so many members: every device has as many."""
        n_devices = self.mesh.shape[MEMBERS]
        return -(-n_members // n_devices) * n_devices

    def shared(self, batch: Batch) -> Batch:
        """Return a batch inside a program, its cells divided over the devices."""

        def place(values: Array) -> Array:
            where = NamedSharding(self.mesh, self._where(values, (CELLS,)))
            return jax.lax.with_sharding_constraint(values, where)

        return jax.tree.map(place, batch)

    def put_split(self, split: Split) -> Split:
        """Return a split on the devices, divided over genes."""
        return jax.tree.map(lambda values: self._put(values, self._where(values, ())), split)

    def put_state(self, state: _Tree, *, stacked: bool) -> _Tree:
        """Return the state of a run on the devices; `stacked` states have an axis of members."""
        first = (MEMBERS,) if stacked else ()
        return jax.tree.map(lambda values: self._put(values, self._where(values, first)), state)

    def put_whole(self, tree: Any, *, stacked: bool = False) -> Any:
        """Return arrays on the devices, divided over members at most."""
        where = PartitionSpec(MEMBERS) if stacked else PartitionSpec()
        return jax.tree.map(lambda values: self._put(values, where), tree)

    def fetch(self, tree: _Tree) -> _Tree:
        """Return arrays of the devices in host memory, whole, in every process."""
        whole = NamedSharding(self.mesh, PartitionSpec())
        return jax.device_get(jax.jit(_same, out_shardings=whole)(tree))

    def _where(self, values: Array, first: tuple[str, ...]) -> PartitionSpec:
        """Return where an array goes: `first` its first axis, its axis of genes over GENES."""
        rest = values.ndim - len(first)
        if rest and values.shape[-1] == self.n_genes:
            return PartitionSpec(*first, *(None,) * (rest - 1), GENES)
        return PartitionSpec(*first)

    def _put(self, values: Array, where: PartitionSpec) -> jax.Array:
        host = np.asarray(values)
        sharding = NamedSharding(self.mesh, where)
        return jax.make_array_from_callback(host.shape, sharding, lambda at: host[at])


def _same(tree: Any) -> Any:
    return tree


def _largest(number: int, most: int) -> int:
    """Return the largest divisor of `number` that is at most `most`, at least 1."""
    return next((d for d in range(max(most, 1), 0, -1) if number % d == 0), 1)
