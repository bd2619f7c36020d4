"""Where training reads cells from: the device's memory, the host's, or the disk."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gpo_vae_jax.config import Config
from gpo_vae_jax.data.prepared.store.stored_rows import StoredRows
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.memory import available_bytes
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.cell_loader import AHEAD, REQUEST_BYTES
from gpo_vae_jax.train.fields_read import left_out, without
from gpo_vae_jax.train.state import TrainState, init_state
from gpo_vae_jax.train.streamed import EpochData, Stream
from gpo_vae_jax.types import Array, Dataset, Split

SHARE = 0.6  # of the device's memory that cells and state may take; a step needs some, too
_STATES = 2  # before and after an epoch


class DeviceMemory(NamedTuple):
    """What a training takes of the device's memory, in bytes."""

    cells: float  # of training and validation, where they are kept on the device
    state: float  # parameters, optimiser and best parameters, before and after an epoch
    available: float
    streamed: bool  # whether the cells come in from host memory or from disk
    on_disk: bool
    device: str

    @property
    def sentence(self) -> str:
        """Return the estimate and the choice, for a person."""
        taken, state, free = (
            f"{n / 2**30:,.2f} GiB" for n in (self.cells, self.state, self.available)
        )
        kept = "they are kept there"
        if self.streamed:
            ahead = AHEAD * REQUEST_BYTES / 2**30
            kept = (
                f"they are read from {'disk' if self.on_disk else 'host memory'}, "
                f"up to {ahead:,.2f} GiB in advance"
            )
        return (
            f"memory of {self.device}: {state} for the state, {taken} for the cells, "
            f"{free} available: {kept}"
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
    n_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    unread = left_out(state.current.params, dataset.splits["train"], spec=spec)
    splits = [dataset.splits[name].cells for name in ("train", "val")]
    cells = sum(
        values.nbytes
        for split in splits
        for name, values in split._asdict().items()
        if values is not None and name not in unread
    )
    device = jax.local_devices()[0]
    stats = device.memory_stats() or {}
    available = available_bytes()
    if "bytes_limit" in stats:
        available = stats["bytes_limit"] - stats.get("bytes_in_use", 0)
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
    full = cells + _STATES * n_bytes > SHARE * available
    streamed = on_disk or wanted == "host" or (wanted == "auto" and full)
    return DeviceMemory(
        cells, _STATES * n_bytes, available, streamed, on_disk, f"{device.platform} 0"
    )


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
        train, validation = jax.device_put((without(train, unread), without(validation, unread)))
        return EpochData(train, validation, tables)
    train, validation = (
        Split(split.cells, jax.device_put(split.context)) for split in (train, validation)
    )
    return Stream(train, validation, tables, unread)


def _state_of(spec: Spec) -> TrainState:
    """Return the shapes of a state."""
    return jax.eval_shape(partial(init_state, spec=spec), 0)
