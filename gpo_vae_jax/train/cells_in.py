"""Where training reads cells from: the device's memory, the host's, or the disk."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gpo_vae_jax.config import Config
from gpo_vae_jax.data.prepared.store.stored_rows import StoredRows
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.cell_loader import AHEAD, REQUEST_BYTES
from gpo_vae_jax.train.compact_cells import compact
from gpo_vae_jax.train.device_room import FIX, free_bytes, step_bytes
from gpo_vae_jax.train.fields_read import left_out, without
from gpo_vae_jax.train.state import TrainState, init_state
from gpo_vae_jax.train.streamed import EpochData, Stream
from gpo_vae_jax.types import Array, Dataset, Split

SHARE = 0.6  # of the device's memory that cells and state may take; a step needs some, too
_REQUESTS = 2  # of cells that come in, on the device at a time


class DeviceMemory(NamedTuple):
    """What a training takes of the device's memory, in bytes."""

    cells: float  # of training and validation, at most, where they are kept on the device
    state: float  # parameters, moments and best parameters of a member
    step: float  # what an epoch of a member takes besides, at most
    available: float
    streamed: bool  # whether the cells come in from host memory or from disk
    on_disk: bool
    device: str
    members: int = 1  # that the device trains at once

    @property
    def needed(self) -> float:
        """Return all that the training takes of the device."""
        cells = min(_REQUESTS * REQUEST_BYTES, self.cells) if self.streamed else self.cells
        return cells + self.members * (self.state + self.steps)

    @property
    def steps(self) -> float:
        """Return what the epoch of a member takes, and beside others the state before it, too.

        A member that has stopped is given that state back.
        """
        return self.step + (self.state if self.members > 1 else 0)

    @property
    def fits(self) -> bool:
        """Return whether the device has room for it."""
        return self.needed <= self.available

    @property
    def sentence(self) -> str:
        """Return the estimate and the choice, for a person."""
        n = self.members
        parts = self.cells, n * self.state, n * self.steps, self.available, self.needed
        taken, state, step, free, needed = (f"{part / 2**30:,.2f} GiB" for part in parts)
        states = f"the states of {n} members at once" if n > 1 else "the state"
        kept = "they are kept there"
        if self.streamed:
            ahead = AHEAD * REQUEST_BYTES / 2**30
            kept = (
                f"they are read from {'disk' if self.on_disk else 'host memory'}, "
                f"up to {ahead:,.2f} GiB in advance"
            )
        return (
            f"memory of {self.device}: {state} for {states}, {step} for steps, {taken} for the "
            f"cells, {free} available: {kept}"
            + ("" if self.fits else f". {needed} may not fit: {FIX}")
        )


def device_memory(dataset: Dataset, config: Config) -> DeviceMemory:
    """Estimate what a training takes, and decide whether the cells are kept on the device.

    Args:
      dataset: in memory or on disk.
      config: every open size chosen.

    Raises:
      ConfigError: `data.cells_in` asks for memory, and the cells are on disk; or settings and data
        do not fit together.
    """
    spec = Spec.of(config, dataset.sizes)
    state = _state_of(spec)
    # on a CPU the state that was fetched last is memory of the device, too
    n_bytes = _bytes_of(state) * (2 if on_cpu() else 1)
    batch_size = min(config.train.batch_size, len(dataset.splits["train"].cells.weight))
    step = step_bytes(spec, _bytes_of(state.best_params), batch_size)
    unread = left_out(state.current.params, dataset.splits["train"], spec=spec)
    splits = [dataset.splits[name].cells for name in ("train", "val")]
    cells = sum(
        values.nbytes
        for split in splits
        for name, values in split._asdict().items()
        if values is not None and name not in unread
    )
    device = jax.local_devices()[0]
    available = free_bytes()
    on_disk = isinstance(dataset.splits["train"].cells.counts, StoredRows)
    wanted = config.data.cells_in
    if on_disk and wanted in ("device", "host"):
        raise ConfigError(
            f"config.data.cells_in={wanted!r}, but the cells of this data set are on disk: load it "
            "with the same setting"
        )
    if wanted == "disk" and not on_disk:
        raise ConfigError(
            "config.data.cells_in='disk' needs a prepared file, config.data.path: these cells are "
            "in memory already"
        )
    full = cells + n_bytes > SHARE * available
    streamed = on_disk or wanted == "host" or (wanted == "auto" and full)
    return DeviceMemory(cells, n_bytes, step, available, streamed, on_disk, f"{device.platform} 0")


def fields_left_out(dataset: Dataset, config: Config) -> tuple[str, ...]:
    """Return the large fields of cells that the loss does not look at.

    Members that share a program share them, because they have the same terms of the loss.
    """
    spec = Spec.of(config, dataset.sizes)
    return left_out(_state_of(spec).current.params, dataset.splits["train"], spec=spec)


def source_of(dataset: Dataset, streamed: bool, unread: tuple[str, ...] = ()) -> EpochData | Stream:
    """Return what the epochs read: all cells on the device, or a stream of batches.

    Args:
      dataset: in memory or on disk.
      streamed: as in `device_memory`.
      unread: fields that are neither moved nor read (`fields_left_out`).
    """
    train, validation = dataset.splits["train"], dataset.splits["val"]
    tables: dict[str, Array] = {
        name: jnp.asarray(table, jnp.float32) for name, table in dataset.tables.items()
    }
    if not streamed:
        train, validation = (
            jax.device_put(as_kept(without(split, unread))) for split in (train, validation)
        )
        return EpochData(train, validation, tables)
    train, validation = (
        Split(split.cells, jax.device_put(split.context)) for split in (train, validation)
    )
    return Stream(train, validation, tables, unread)


def as_kept(split: Split) -> Split:
    """Return a split as it is kept on the device; on a CPU as it is, for a copy would take more."""
    return split if on_cpu() else compact(split)


def _bytes_of(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _state_of(spec: Spec) -> TrainState:
    """Return the shapes of a state."""
    return jax.eval_shape(partial(init_state, spec=spec), 0)
