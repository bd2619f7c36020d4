r"""Measure an epoch as training runs it: shuffle, all steps, validation, one compiled program.

    python -m benchmarks.epoch --quick     (tiny, a minute)
    python -m benchmarks.epoch     (RPE1: 58,810 + 14,703 cells, 15 minutes on two cores)

Whole epochs take turns with validation alone and with a few steps alone, as benchmarks/step.py runs
them; what an epoch takes beyond its steps and its validation is the rest. Where memory does not
suffice for all cells, fewer are used. Beside it stands the time that PyTorch needs for as many
steps and batches of its loader, from benchmarks/results/step.json. The result is printed. Without
--quick it also goes into benchmarks/results/epoch.json.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.inputs import shapes
from benchmarks.measuring import memory, options, results_file
from benchmarks.measuring.summary import significant, summary, to_stderr
from benchmarks.programs import jax_program as program
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import init_state, run_epoch
from gpo_vae_jax.train.batches import n_batches
from gpo_vae_jax.train.present import rows_of_batches
from gpo_vae_jax.train.program import compiled
from gpo_vae_jax.train.steps import validate
from gpo_vae_jax.types import Split

TRAIN, VALIDATION = 0.64, 0.16  # shares of all cells
SPARE_GIB = 3.0  # for the program's own memory


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and keep the result."""
    parser = options.parser_of(__doc__)
    options.add_all(parser, rounds=3)
    parser.add_argument("--cells", type=int, help="training cells; a quarter as many validate")
    args = options.parsed(parser, arguments)
    program.use_device(args.device)
    entry = measure(shapes.SHAPES[args.shape], args)
    folder = results_file.folder_of(args)
    entry |= beside_torch(entry, folder)
    results_file.add(folder, "epoch", entry, ("shape", "device", "precision"))


def n_cells(shape: shapes.Shape, wanted: int | None) -> tuple[int, int]:
    """Return the numbers of training and validation cells; memory must hold them twice."""
    n = wanted or round(shape.cells * TRAIN)
    of_cell = 2 * (2 * 2 * shape.genes + 4 * shape.treatments)  # both kinds of counts, delta; twice
    room = (memory.available_gib() - SPARE_GIB) * 2**30 / of_cell
    share = min(1.0, room / (n * (1 + VALIDATION / TRAIN)))
    if share < 1:
        n = max(1, int(n * share))
        to_stderr(f"too little memory for all cells: training on {n} of them")
    return n, math.ceil(n * VALIDATION / TRAIN)


def measure(shape: shapes.Shape, args: argparse.Namespace) -> dict[str, Any]:
    """Run epochs, validations and steps in turn."""
    spec = shapes.spec_of(shape, precision=args.precision)
    size = spec.train.batch_size
    train, validation = program.splits_of(shape, *n_cells(shape, args.cells))
    state = jax.device_put(init_state(0, spec=spec), jax.devices()[0])
    tables = program.distance_tables(spec)
    n_train, n_val = (len(split.cells.weight) for split in (train, validation))
    steps = n_batches(n_train, size)
    before, since_data = memory.resident_gib(), memory.forget_peak()

    start = time.perf_counter()
    n_rows = rows_of_batches(train, size, spec.sizes.n_perturbed)
    epoch = compiled(run_epoch, (state, train, validation, tables), spec=spec, n_rows=n_rows)
    compile_s = time.perf_counter() - start
    key = jax.random.key(1)
    validating = jax.jit(partial(validate, spec=spec, n_rows=n_rows))
    validating = validating.lower(state.current.params, validation, key).compile()
    stepping = Steps(spec, train, min(steps, 8 if args.device == "cpu" else 64))

    timed(validating, state.current.params, validation, key)  # warm up
    stepping.seconds()
    seconds: dict[str, list[float]] = {"epoch": [], "validation": [], "step": []}
    for number in range(args.rounds):
        took, (state, report) = timed(epoch, state, train, validation, tables)
        seconds["epoch"].append(took)
        if number == 0:
            peak = memory.peak_gib()
        took, _ = timed(validating, state.current.params, validation, key)
        seconds["validation"].append(took)
        seconds["step"].append(stepping.seconds())
        to_stderr(
            f"round {number + 1} of {args.rounds}: "
            + ", ".join(f"{name} {values[-1]:.4g} s" for name, values in seconds.items())
        )
    summaries = {f"{name}_s": summary(values) for name, values in seconds.items()}
    return {
        "shape": shape.name,
        "device": args.device,
        "device_kind": jax.devices()[0].device_kind,
        "precision": args.precision,
        "train_cells": n_train,
        "validation_cells": n_val,
        "all_cells": n_train >= round(shape.cells * TRAIN),
        "batch_size": size,
        "particles": spec.train.n_particles,
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
    """Split an epoch's median seconds into steps, validation and the rest."""
    whole, validation, step = (
        summaries[f"{n}_s"]["median"] for n in ("epoch", "validation", "step")
    )
    return {
        "step_inside_s": significant((whole - validation) / steps),
        "validation_share": significant(validation / whole, 3),
        "rest_s": significant(whole - validation - steps * step, 3),
        "rest_share": significant(1 - (validation + steps * step) / whole, 3),
    }


def beside_torch(entry: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """Return the time of as many PyTorch steps and batches, from the results of step.py."""
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
            "training_s": significant(seconds),
            "times_faster": significant(seconds / ours, 3),
        }
    }


def timed(function: Any, *arguments: Any) -> tuple[float, Any]:
    """Return the seconds of a call, and its result."""
    start = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start, result


class Steps:
    """A few steps alone, in one compiled scan."""

    def __init__(self, spec: Spec, train: Split, k: int):
        """Compile k steps."""
        self.k, self.train = k, train
        size = min(spec.train.batch_size, len(train.cells.weight))
        order = np.random.default_rng(0).permutation(len(train.cells.weight))
        self.rows = jnp.asarray(np.resize(order, (k, size)), jnp.int32)
        self.state = program.initial(spec)
        self.run = program.compiled_steps(self.state, train, k, size, spec=spec)

    def seconds(self) -> float:
        """Return the seconds of one step."""
        took, (self.state, _) = timed(self.run, self.state, self.train, self.rows, jnp.int32(0))
        return took / self.k


if __name__ == "__main__":
    main()
