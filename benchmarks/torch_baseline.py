r"""Measure a training step of the plain PyTorch baseline, or of a clone of the original.

    python -m benchmarks.torch_baseline --shape rpe1 --steps 3     (two minutes, 3 GB)
    python -m benchmarks.torch_baseline --quick     (seconds, a tiny shape)
    python -m benchmarks.torch_baseline --goldens     (agreement with the recorded runs)
    python -m benchmarks.torch_baseline --upstream PATH --upstream-entry FILE:FUNCTION
    python -m benchmarks.torch_baseline --worker --shape rpe1     (steps on request)

The result is printed. Without --quick it also goes into benchmarks/results/torch_baseline.json, one
entry per shape. The baseline's loader is timed separately from its steps.
benchmarks/programs/upstream.py says what a file for --upstream-entry holds. Needs NumPy and torch,
and the package for the settings of a shape unless --settings brings them.

A worker prints one line of JSON when it is ready, then answers {"steps": k} with the seconds of
each of k steps and the last loss, and {"stop": true} or the end of its input with its peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.inputs import cells, shapes
from benchmarks.measuring import machine, options, results_file
from benchmarks.programs import torch_step
from benchmarks.programs.torch_gpo_vae import settings
from benchmarks.programs.torch_step import Job

GOLDENS = Path(__file__).resolve().parents[1] / "tests" / "golden"
UPSTREAM = {  # the original alone on two cores, PyTorch 2.13
    "rpe1": {"seconds_per_step": [16, 17], "peak_gb": 4.3, "loader_s_per_batch": 0.09},
    "k562": {"seconds_per_step": [24, 27], "peak_gb": 6.0, "loader_s_per_batch": 0.09},
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, serve requests, or compare with the recorded runs."""
    args = parsed(arguments)
    if args.goldens:
        from benchmarks.programs.torch_gpo_vae import goldens

        text, agree = goldens.table(GOLDENS)
        print(text)
        sys.exit(not agree)
    if args.worker:
        serve(args)
    else:
        measure(args)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    options.add_shape_changes(parser)
    options.add_device(parser)
    parser.add_argument("--steps", type=int, default=3, help="timed steps, after one to warm up")
    parser.add_argument("--worker", action="store_true", help="serve requests on stdin")
    parser.add_argument("--goldens", action="store_true", help="compare with the recorded runs")
    parser.add_argument("--settings", type=json.loads, help="JSON of torch_gpo_vae's Settings")
    parser.add_argument("--upstream", type=Path, help="the root of a clone of the original")
    parser.add_argument("--upstream-entry", help="FILE:FUNCTION that steps it")
    args = options.parsed(parser, arguments)
    if (args.upstream is None) != (args.upstream_entry is None):
        parser.error("--upstream and --upstream-entry go together")
    if args.steps < 1:
        parser.error("--steps must be at least 1")
    if args.quick:
        args.steps = 2
    return args


def measure(args: argparse.Namespace) -> None:
    """Time the steps, print the result and keep it."""
    job, first, setup = warmed_up(args)
    taken = torch_step.run(job, args.steps, args.device)
    result = {
        "machine": machine.describe(),
        **job.facts,
        "setup_s": round(setup, 2),
        "first_step_s": round(first.seconds[0], 3),
        "seconds_per_step": round(statistics.median(taken.seconds), 3),
        "seconds": [round(seconds, 3) for seconds in taken.seconds],
        "loader_s_per_batch": round(statistics.median(taken.loader), 3) if taken.loader else None,
        **torch_step.peak(args.device),
        "loss": taken.loss,
        "original_as_measured_before": UPSTREAM.get(args.shape),
    }
    print(json.dumps(result, indent=2))
    folder = results_file.folder_of(args)
    if folder:
        target = folder / "torch_baseline.json"
        kept = json.loads(target.read_text()) if target.exists() else {}
        folder.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps({**kept, entry_name(args): result}, indent=2) + "\n")


def serve(args: argparse.Namespace) -> None:
    """Serve requests on stdin; stdout carries the answers and nothing else."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anything else prints goes to stderr

    def answer(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    job, first, setup = warmed_up(args)
    loader = round(first.loader[0], 4) if first.loader else None
    timing = {"compile_s": None, "setup_s": round(setup, 3), "loader_s": loader}
    answer({"ready": True, **timing, **job.facts})
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("stop"):
            break
        taken = torch_step.run(job, int(message["steps"]), args.device)
        answer({"seconds": taken.seconds, "loss": taken.loss})
    answer(torch_step.peak(args.device))


def warmed_up(args: argparse.Namespace) -> tuple[Job, torch_step.Taken, float]:
    """Return a job after its first step, what that took, and the seconds until here."""
    start = time.perf_counter()
    job = prepare(args)
    first = torch_step.run(job, 1, args.device)
    return job, first, time.perf_counter() - start


def prepare(args: argparse.Namespace) -> Job:
    """Make cells and a model that can be stepped."""
    shape = options.chosen_shape(args)
    tiny = shape.name == "tiny"
    batch_size = args.batch_size or (shapes.TINY_BATCH if tiny else shapes.PUBLISHED_BATCH)
    made = cells.cells(shape, torch_step.BATCHES * batch_size)
    facts = {
        "of": "upstream" if args.upstream else "torch_baseline",
        "shape": shape._asdict(),
        "batch_size": batch_size,
        "particles": args.particles or shapes.PUBLISHED_PARTICLES,
        "device": args.device,
        "precision": args.precision,
        "data_gib": round(sum(array.nbytes for array in made.values()) / 2**30, 3),
    }
    if args.upstream:
        job = torch_step.of_clone(args.upstream, args.upstream_entry, shape, made, facts)
    else:
        chosen = args.settings or settings.of_shape(shape, batch_size, facts["particles"])
        job = torch_step.baseline(chosen, shape, made, facts)
    return job._replace(facts={**job.facts, **torch_step.versions_and_threads()})


def entry_name(args: argparse.Namespace) -> str:
    """Name the result: the shape, and each option that differs from its default."""
    changed = ("genes", "treatments", "perturbed", "batch_size", "particles")
    words = [f"{name}={getattr(args, name)}" for name in changed if getattr(args, name)]
    words += [w for w in (args.device, args.precision) if w not in ("cpu", "float32")]
    return " ".join([args.shape, *(["upstream"] if args.upstream else []), *words])


if __name__ == "__main__":
    main()
