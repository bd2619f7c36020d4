"""What `benchmarks.streaming` measures, each function in a process of its own."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.inputs import shapes, stored
from benchmarks.inputs.shapes import Shape
from benchmarks.measuring import memory
from benchmarks.measuring.summary import summary
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import init_state
from gpo_vae_jax.train.cell_loader import AHEAD, bytes_of_a_cell, in_advance, read_cells, requests
from gpo_vae_jax.train.cells_in import device_memory
from gpo_vae_jax.train.present import rows_of_batches
from gpo_vae_jax.train.program import compiled, give_memory_back
from gpo_vae_jax.train.steps import run_steps
from gpo_vae_jax.train.streamed import take_steps
from gpo_vae_jax.types import Batch, Dataset

UNREAD = {"published": (), "accurate": ("counterfactual", "delta")}


def memory_of_training(folder: Path, shape: Shape, steps: int, in_memory: bool) -> dict[str, Any]:
    """Open the cells, read every training cell once, and take some steps; report the memory."""
    memory.forget_peak()
    begin = time.perf_counter()
    dataset = stored.dataset(folder, shape, in_memory=in_memory)
    opened_s, at_start = time.perf_counter() - begin, memory.resident_gib()
    opening_gib = memory.peak_gib()
    memory.forget_peak()
    cells = dataset.splits["train"].cells
    begin = time.perf_counter()
    if not in_memory:
        for batches in in_advance(partial(_read, cells, ()), _requests(cells, 0, ())):
            del batches
    epoch_s = time.perf_counter() - begin
    spec = shapes.spec_of(shape)
    (_steps_in_memory if in_memory else _steps_from_disk)(dataset, spec, steps)
    n_cells = sum(len(split.cells.weight) for split in dataset.splits.values())
    config = shapes.published(shape)
    return {
        "cells": n_cells,
        "kept": "memory" if in_memory else "disk",
        "opening_s": round(opened_s, 1),
        "reading_an_epoch_s": None if in_memory else round(epoch_s, 1),
        "opening_gib": round(opening_gib, 2),
        "opened_gib": round(at_start, 2),
        "peak_gib": round(max(memory.peak_gib(), opening_gib), 2),
        "anonymous_gib": round(memory.anonymous_gib(), 2),
        "cells_gib": round(device_memory(dataset, config).cells / 2**30, 2),
        "steps": steps,
    }


def loaders(folder: Path, shape: Shape, rounds: int) -> dict[str, Any]:
    """Read an epoch of batches from disk with both loaders and from memory, taking turns."""
    dataset = stored.dataset(folder, shape)
    cells = dataset.splits["train"].cells
    found: dict[str, Any] = {"threads": AHEAD}
    for name, unread in UNREAD.items():
        loaded = cells._replace(
            **{n: np.asarray(getattr(cells, n)) for n in ("counts", "counterfactual", "delta")}
        ) if not unread else cells._replace(counts=np.asarray(cells.counts))  # fmt: skip
        ways: dict[str, Callable[[int], Iterator[Batch]]] = {
            "executor": lambda i, u=unread: in_advance(
                partial(_read, cells, u), _requests(cells, i, u)
            ),
            "memory": lambda i, u=unread, m=loaded: in_advance(
                partial(_read, m, u), _requests(cells, i, u)
            ),
        }
        if importlib.util.find_spec("grain"):
            ways["grain"] = lambda i, u=unread: _with_grain(cells, i, u)
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(rounds + 1):  # the first warms up
            for way, batches in ways.items():
                begin, n = time.perf_counter(), 0
                for batch in batches(number):
                    n += batch.weight.size
                if number:
                    rates[way].append(n / (time.perf_counter() - begin))
        found[name] = {
            "bytes_per_cell": bytes_of_a_cell(cells, unread),
            "cells_per_s": {way: summary(values) for way, values in rates.items()},
        }
    return found


def steps_of_both(folder: Path, shape: Shape, steps: int, rounds: int) -> dict[str, Any]:
    """Take steps on cells in memory and on cells from disk, in turn; cells per second."""
    on_disk = stored.dataset(folder, shape)
    spec = shapes.spec_of(shape)
    in_memory = _steps_in_memory(on_disk, spec, steps)
    from_disk = _steps_from_disk(on_disk, spec, steps)
    rates: dict[str, list[float]] = {"memory": [], "disk": []}
    for number in range(1, rounds + 1):
        for name, program in (("memory", in_memory), ("disk", from_disk)):
            begin = time.perf_counter()
            program(number)
            rates[name].append(steps * spec.train.batch_size / (time.perf_counter() - begin))
    return {name: summary(values) for name, values in rates.items()}


def _read(cells: Batch, unread: tuple[str, ...], request: Any) -> Batch:
    return read_cells(cells, request.rows, unread)


def _requests(cells: Batch, seed: int, unread: tuple[str, ...], most: int | None = None) -> Any:
    size = min(shapes.PUBLISHED_BATCH, len(cells.weight))
    order = np.random.default_rng(seed).permutation(len(cells.weight))
    rows = order[: len(order) // size * size].reshape(-1, size)[:most]
    return requests(rows, np.ones(rows.shape, bool), bytes_of_a_cell(cells, unread))


def _with_grain(cells: Batch, seed: int, unread: tuple[str, ...]) -> Iterator[Batch]:
    import grain

    options = grain.ReadOptions(num_threads=AHEAD, prefetch_buffer_size=AHEAD)
    source = grain.MapDataset.source(_requests(cells, seed, unread))
    return iter(source.map(partial(_read, cells, unread)).to_iter_dataset(options))


def _steps_in_memory(dataset: Dataset, spec: Spec, steps: int) -> Callable[[int], None]:
    """Compile steps on all training cells on the device, and take them once."""
    split = dataset.splits["train"]
    loaded = split.cells._replace(
        **{n: np.asarray(getattr(split.cells, n)) for n in ("counts", "counterfactual", "delta")}
    )
    n_rows = rows_of_batches(split, spec.train.batch_size, spec.sizes.n_perturbed)
    on_device = jax.device_put(split._replace(cells=loaded))
    state = init_state(0, spec=spec)
    program = jax.jit(partial(run_steps, spec=spec, n_rows=n_rows))

    def run(number: int) -> None:
        rows = _rows(split.cells, number, spec, steps)
        filled = jnp.ones(rows.shape, bool)
        found = program(state.current, on_device, rows, filled, state.seed, jnp.int32(0))
        jax.block_until_ready(found)

    run(0)
    give_memory_back()
    return run


def _steps_from_disk(dataset: Dataset, spec: Spec, steps: int) -> Callable[[int], None]:
    """Compile steps on batches that threads read, and take them once."""
    split = dataset.splits["train"]
    n_rows = rows_of_batches(split, spec.train.batch_size, spec.sizes.n_perturbed)
    context, state = jax.device_put(split.context), init_state(0, spec=spec)

    def run(number: int) -> None:
        rows = _rows(split.cells, number, spec, steps)
        work = requests(rows, np.ones(rows.shape, bool), bytes_of_a_cell(split.cells))
        current = state.current
        for request, batches in zip(
            work, in_advance(partial(_read, split.cells, ()), work), strict=True
        ):
            jax.block_until_ready(current)
            first = jnp.int32(request.first)
            arguments = (current, context, jax.device_put(batches), state.seed, first, {})
            static = {"spec": spec, "n_rows": n_rows, "epoch_steps": steps}
            current, _ = compiled(take_steps, arguments, **static)(*arguments)
        jax.block_until_ready(current)

    run(0)
    return run


def _rows(cells: Batch, number: int, spec: Spec, steps: int) -> np.ndarray:
    """Return the rows of some batches, another draw for each number."""
    size = min(spec.train.batch_size, len(cells.weight))
    return np.random.default_rng(number).integers(0, len(cells.weight), (steps, size))
