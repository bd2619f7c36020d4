r"""Measure an epoch as training runs it: shuffle, all steps, validation, one compiled program.

    python benchmarks/epoch.py --quick     (tiny, a minute)
    python benchmarks/epoch.py     (RPE1: 58,810 + 14,703 cells, 15 minutes on two cores)

In turn with whole epochs it measures the validation alone and a few steps alone, as
benchmarks/step.py does: what an epoch takes beyond its steps and its validation is the rest. With
too little memory for all cells it takes fewer, and says so. The result is printed and, but for
--quick, goes into benchmarks/results/epoch.json. Beside it stands what PyTorch needs for as many
steps and batches of its loader, from benchmarks/results/step.json.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import alternating, memory, results_file, shapes  # noqa: E402
from benchmarks import jax_program as program  # noqa: E402
from gpo_vae_jax.config import Config, compiled_part  # noqa: E402
from gpo_vae_jax.train import init_state  # noqa: E402
from gpo_vae_jax.train.epoch import n_batches, validate  # noqa: E402
from gpo_vae_jax.train.present import rows_of_batches  # noqa: E402
from gpo_vae_jax.train.program import epoch_program  # noqa: E402
from gpo_vae_jax.types import Sizes, Split  # noqa: E402

TRAIN, VALIDATION = 0.64, 0.16  # shares of all cells
SPARE_GIB = 3.0  # for the program's own memory


def main() -> None:
    """Measure and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    program.add_run_options(parser, rounds=3)
    parser.add_argument("--cells", type=int, help="training cells; a quarter as many validate")
    asked = program.parsed(parser)
    entry = measure(shapes.SHAPES[asked.shape], asked)
    folder = results_file.folder_of(asked)
    entry |= beside_torch(entry, folder)
    results_file.add(folder, "epoch", entry, ("shape", "device", "precision"))


def n_cells(shape: shapes.Shape, wanted: int | None) -> tuple[int, int]:
    """Return how many cells train and validate, no more than memory holds twice."""
    n = wanted or round(shape.cells * TRAIN)
    of_cell = 2 * (2 * 2 * shape.genes + 4 * shape.treatments)  # both kinds of counts, delta; twice
    room = (memory.available_gib() - SPARE_GIB) * 2**30 / of_cell
    share = min(1.0, room / (n * (1 + VALIDATION / TRAIN)))
    if share < 1:
        n = max(1, int(n * share))
        alternating.to_stderr(f"too little memory for all cells: {n} of them train")
    return n, math.ceil(n * VALIDATION / TRAIN)


def measure(shape: shapes.Shape, asked: argparse.Namespace) -> dict[str, Any]:
    """Run epochs, validations and steps in turn."""
    config, sizes = program.configured(shape, precision=asked.precision)
    settings = compiled_part(config)
    train, validation = simulated(shape, *n_cells(shape, asked.cells))
    state = jax.device_put(init_state(0, config=config, sizes=sizes), jax.devices()[0])
    tables = {name: table(sizes) for name in ("train", "test")}
    n_train, n_val = (len(split.cells.weight) for split in (train, validation))
    steps = n_batches(n_train, config.train.batch_size)
    before, since_data = memory.resident_gib(), memory.forget_peak()

    start = time.perf_counter()
    n_rows = rows_of_batches(train, config.train.batch_size, sizes.n_perturbed)
    static = {"config": settings, "sizes": sizes, "n_rows": n_rows}
    epoch = epoch_program((state, train, validation, tables), **static)
    compile_s = time.perf_counter() - start
    key = jax.random.key(1)
    validating = jax.jit(partial(validate, **static))
    validating = validating.lower(state.current.params, validation, key).compile()
    few = min(steps, 8 if asked.device == "cpu" else 64)
    stepping = Steps(config, sizes, train, few)

    timed(validating, state.current.params, validation, key)  # once before the clock counts
    stepping.seconds()
    seconds: dict[str, list[float]] = {"epoch": [], "validation": [], "step": []}
    for number in range(asked.rounds):
        took, (state, report) = timed(epoch, state, train, validation, tables)
        seconds["epoch"].append(took)
        if number == 0:
            peak = memory.peak_gib()
        took, _ = timed(validating, state.current.params, validation, key)
        seconds["validation"].append(took)
        seconds["step"].append(stepping.seconds())
        alternating.to_stderr(
            f"round {number + 1} of {asked.rounds}: "
            + ", ".join(f"{name} {values[-1]:.4g} s" for name, values in seconds.items())
        )
    summaries = {f"{name}_s": alternating.summary(values) for name, values in seconds.items()}
    return {
        "shape": shape.name,
        "device": asked.device,
        "device_kind": jax.devices()[0].device_kind,
        "precision": asked.precision,
        "train_cells": n_train,
        "validation_cells": n_val,
        "all_cells": n_train >= round(shape.cells * TRAIN),
        "batch_size": config.train.batch_size,
        "particles": config.train.n_particles,
        "steps": steps,
        **summaries,
        **shares(steps, summaries),
        "compile_s": round(compile_s, 2),
        "loss": float(report.validation["loss"]),
        "data_gib": round(program.n_bytes((train, validation)) / 2**30, 3),
        "peak_gib": round(peak, 3),
        "above_data_gib": round(peak - before, 3) if since_data else None,
        "device_peak_gib": memory.device_peak_gib(jax.devices()[0]),
    }


def shares(steps: int, summaries: dict[str, dict[str, float]]) -> dict[str, float]:
    """Split an epoch's seconds into steps, validation and the rest, by medians."""
    whole, validation, step = (
        summaries[f"{n}_s"]["median"] for n in ("epoch", "validation", "step")
    )
    return {
        "step_inside_s": alternating.significant((whole - validation) / steps),
        "validation_share": alternating.significant(validation / whole, 3),
        "rest_s": alternating.significant(whole - validation - steps * step, 3),
        "rest_share": alternating.significant(1 - (validation + steps * step) / whole, 3),
    }


def beside_torch(entry: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """Return what PyTorch's steps and loader take for as many batches, from results of step.py."""
    wanted = {name: entry[name] for name in ("shape", "device")}
    found = [e for e in results_file.read(folder, "step") if "torch" in e]
    step = results_file.find(found, **wanted, precision=entry["precision"], beside="torch")
    if step is None:
        return {}
    torch, steps = step["torch"], entry["steps"]
    loader = torch.get("loader_s") or 0.0
    seconds = steps * (torch["step_s"]["median"] + loader)
    ours = entry["epoch_s"]["median"] - entry["validation_s"]["median"]
    return {
        "torch_extrapolated": {
            "step_s": torch["step_s"]["median"],
            "loader_s": loader,
            "training_s": alternating.significant(seconds),
            "times_faster": alternating.significant(seconds / ours, 3),
        }
    }


def simulated(shape: shapes.Shape, n_train: int, n_val: int) -> tuple[Split, Split]:
    """Return training and validation cells on the device, the copies in host memory let go."""
    both = program.split_of(shape, n_train + n_val)
    train = jax.tree.map(lambda a: a[:n_train], both.cells)
    validation = jax.tree.map(lambda a: a[n_train:], both.cells)
    pair = Split(train, both.context), Split(validation, both.context)
    return jax.block_until_ready(jax.device_put(pair, jax.devices()[0]))


def table(sizes: Sizes) -> jax.Array:
    """Return Wasserstein distances for the monitors of an epoch."""
    shape = (sizes.n_perturbed, sizes.n_treatments)
    return jnp.asarray(np.random.default_rng(0).random(shape), jnp.float32)


def timed(function: Any, *arguments: Any) -> tuple[float, Any]:
    """Return the seconds of a call, and what it returned."""
    start = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start, result


class Steps:
    """Take a few steps alone."""

    def __init__(self, config: Config, sizes: Sizes, train: Split, k: int):
        """Compile them."""
        self.k, self.train = k, train
        size = min(config.train.batch_size, len(train.cells.weight))
        order = np.random.default_rng(0).permutation(len(train.cells.weight))
        self.rows = jnp.asarray(np.resize(order, (k, size)), jnp.int32)
        self.state = program.fresh(config, sizes)
        self.run = program.compiled_steps(self.state, train, k, size, config=config, sizes=sizes)

    def seconds(self) -> float:
        """Return the seconds of one step."""
        took, (self.state, _) = timed(self.run, self.state, self.train, self.rows, jnp.int32(0))
        return took / self.k


if __name__ == "__main__":
    main()
