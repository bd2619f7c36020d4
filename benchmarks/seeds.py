r"""Measure training several seeds: as one vmapped program, one after the other, and in processes.

    python -m benchmarks.seeds --quick     (tiny, a minute)
    python -m benchmarks.seeds     (1, 2, 5 and 10 seeds, 3,840 cells of 120 genes)

An epoch of all seeds in one program takes turns with an epoch of each seed alone. On a CPU, as many
processes as there are cores, each on a core of its own, run epochs side by side. The data is small,
so that one run alone leaves a machine idle; at RPE1's shape every run fills it. The result is
printed. Without --quick it also goes into benchmarks/results/seeds.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.inputs import shapes
from benchmarks.measuring import memory, options, results_file
from benchmarks.measuring.summary import ratio, significant, summary
from benchmarks.programs import jax_program as program
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import TrainState, init_state, run_epoch
from gpo_vae_jax.train.group import run_epoch_of_members

SMALL = shapes.Shape("small", 120, 30, 20, 6000, "rpe1")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and keep the result."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--beside", type=int, help=argparse.SUPPRESS)  # a worker, on this core
    options.add_rounds(parser, 7)
    options.add_device(parser)
    args = options.parsed(parser, arguments)
    if args.quick:
        args.seeds = [2]
    shape = shapes.SHAPES["tiny"] if args.quick else SMALL
    if args.beside is not None:
        os.sched_setaffinity(0, {args.beside})
        return work_beside(shape, args)
    program.use_device(args.device)
    beside = None if args.quick or args.device != "cpu" else epochs_beside(args)
    for n_seeds in args.seeds:
        results_file.add(
            results_file.folder_of(args),
            "seeds",
            measure(shape, n_seeds, args, beside),
            ("shape", "seeds", "device", "precision"),
        )


def narrow(spec: Spec) -> Spec:
    """Return networks of a width that suits small data."""
    widths = ("basal_encoder_n_hidden", "embedding_encoder_n_hidden", "decoder_n_hidden")
    model = dataclasses.replace(spec.model, n_latent=20, **dict.fromkeys(widths, 64))
    return dataclasses.replace(spec, model=model)


def inputs_of(shape: shapes.Shape, args: argparse.Namespace) -> tuple[Spec, tuple[Any, ...]]:
    """Return the settings, and what an epoch reads."""
    spec = shapes.spec_of(shape, precision=args.precision)
    spec = narrow(spec) if shape is SMALL else spec
    splits = program.splits_of(shape, round(shape.cells * 0.64), round(shape.cells * 0.16))
    return spec, (*splits, program.distance_tables(spec))


def work_beside(shape: shapes.Shape, args: argparse.Namespace) -> None:
    """Compile an epoch, wait for a line, run epochs, and print the seconds of each."""
    spec, data = inputs_of(shape, args)
    state = init_state(0, spec=spec)
    single = run_epoch.lower(*program.kinds((state, *data)), spec=spec).compile()
    state = jax.block_until_ready(single(state, *data)[0])
    print("ready", flush=True)
    sys.stdin.readline()
    seconds = []
    for _ in range(args.rounds):
        begin = time.perf_counter()
        state = jax.block_until_ready(single(state, *data)[0])
        seconds.append(time.perf_counter() - begin)
    print(json.dumps(seconds), flush=True)


def epochs_beside(args: argparse.Namespace) -> list[float]:
    """Return the seconds of an epoch while a process on every core runs its own."""
    cores = sorted(os.sched_getaffinity(0))
    words = [sys.executable, "-m", "benchmarks.seeds", "--rounds", str(args.rounds)]
    workers = [
        subprocess.Popen(
            [*words, "--beside", str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for core in cores
    ]
    for worker in workers:
        assert worker.stdout.readline().strip() == "ready"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return [s for worker in workers for s in json.loads(worker.communicate()[0])]


def measure(
    shape: shapes.Shape, n_seeds: int, args: argparse.Namespace, beside: list[float] | None
) -> dict[str, Any]:
    """Run an epoch of all seeds at once and one of each seed in turn.

    Args:
      shape: of the data.
      n_seeds: number of seeds.
      args: of the command line.
      beside: seconds of epochs that ran side by side, from `epochs_beside`.
    """
    spec, data = inputs_of(shape, args)
    splits = data[:2]
    start = partial(init_state, spec=spec)
    singles = [start(seed) for seed in range(n_seeds)]
    at_once = jax.tree.map(lambda *leaves: jnp.stack(leaves), *singles)
    active = jnp.ones(n_seeds, bool)

    begin = time.perf_counter()
    single = run_epoch.lower(*program.kinds((singles[0], *data)), spec=spec).compile()
    between = time.perf_counter()
    arguments = program.kinds((at_once, active, *data))
    several = run_epoch_of_members.lower(*arguments, spec=spec).compile()
    compile_s = {"one": between - begin, "all": time.perf_counter() - between}

    seconds: dict[str, list[float]] = {"at_once": [], "one_by_one": []}
    for number in range(args.rounds + 1):  # the first warms up
        begin = time.perf_counter()
        at_once, _ = jax.block_until_ready(several(at_once, active, *data))
        between = time.perf_counter()
        singles = [jax.block_until_ready(single(state, *data)[0]) for state in singles]
        if number:
            seconds["at_once"].append(between - begin)
            seconds["one_by_one"].append(time.perf_counter() - between)
    summaries = {f"{name}_s": summary(values) for name, values in seconds.items()}
    return {
        "shape": shape.name,
        "seeds": n_seeds,
        "device": args.device,
        "device_kind": jax.devices()[0].device_kind,
        "precision": args.precision,
        "genes": shape.genes,
        "treatments": shape.treatments,
        "train_cells": len(splits[0].cells.weight),
        "batch_size": spec.train.batch_size,
        **summaries,
        "times_faster": ratio(summaries["one_by_one_s"], summaries["at_once_s"]),
        **({} if beside is None else in_processes(n_seeds, beside)),
        "largest_difference_of_losses": largest_difference(at_once, singles),
        "compile_s": {name: round(s, 2) for name, s in compile_s.items()},
        "peak_gib": round(memory.peak_gib(), 3),
        "device_peak_gib": memory.device_peak_gib(jax.devices()[0]),
    }


def in_processes(n_seeds: int, beside: list[float]) -> dict[str, Any]:
    """Return the time of an epoch of all seeds in processes, as many at a time as there are cores.

    Compilation, which every process does, is left out.
    """
    turns = math.ceil(n_seeds / len(os.sched_getaffinity(0)))
    return {"in_processes_s": summary([turns * seconds for seconds in beside])}


def largest_difference(at_once: TrainState, singles: list[TrainState]) -> float:
    """Return the largest relative difference of the seeds' best validation losses."""
    together = np.asarray(at_once.best_loss, np.float64)
    alone = np.array([float(state.best_loss) for state in singles])
    return significant(float(np.abs(together / alone - 1).max()), 2)


if __name__ == "__main__":
    main()
