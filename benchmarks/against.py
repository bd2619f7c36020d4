r"""Measure steps and epochs of this checkout against another one, an older commit for example.

    python -m benchmarks.against OLD_CLONE --quick     (tiny, a minute)
    python -m benchmarks.against OLD_CLONE     (RPE1, 4,096 cells, ten minutes on two cores)

Each checkout runs in a process of its own, on the same cells, settings and seed; they take turns,
and which one goes first alternates. Prints the median times, their ratio, and whether both reach
the same loss. The result goes into a file only with --results.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inputs import cells, shapes
from benchmarks.measuring import machine, options, results_file
from benchmarks.measuring.summary import significant, summary, to_stderr
from benchmarks.workers import alternating
from benchmarks.workers.alternating import ROOT, Worker

WORKER = Path(__file__).resolve().parent / "workers" / "any_version.py"
WHAT = ("step", "epoch")
OLD, NEW = "other checkout", "this checkout"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the comparison."""
    parser = options.parser_of(__doc__)
    parser.add_argument("other", type=Path, help="root of the other checkout")
    options.add_results(parser, default="none")
    options.add_common(parser, rounds=7)
    parser.add_argument("--cells", type=int, help="training cells (default: 8 batches)")
    parser.add_argument("--steps", type=int, default=8, help="in one scan")
    args = options.parsed(parser, arguments)
    if not (args.other / "gpo_vae_jax").is_dir():
        parser.error(f"{args.other} holds no gpo_vae_jax: name the root of a checkout")
    entry = measure(shapes.SHAPES[args.shape], args)
    results_file.add(args.results, "against", entry, ("shape", "device", "precision", "other"))
    print(text(entry))


def measure(shape: shapes.Shape, args: argparse.Namespace) -> dict[str, Any]:
    """Let both checkouts take turns."""
    with tempfile.TemporaryDirectory() as folder:
        n_train = write_inputs(Path(folder), shape, args)
        roots = {OLD: args.other.resolve(), NEW: ROOT}
        ready, answers = take_turns(roots, Path(folder), args)
    return {
        "shape": shape.name,
        "device": args.device,
        "device_kind": ready[NEW]["device_kind"],
        "precision": args.precision,
        "other": machine.commit(args.other),
        "train_cells": n_train,
        "rounds": args.rounds,
        "compile_s": {name: ready[name]["compile_s"] for name in roots},
        **{what: compared(answers, what) for what in WHAT},
    }


def write_inputs(folder: Path, shape: shapes.Shape, args: argparse.Namespace) -> int:
    """Write cells and settings for both checkouts; return the number of training cells."""
    spec = shapes.spec_of(shape, precision=args.precision)
    n_train = args.cells or 8 * spec.train.batch_size
    made = cells.cells(shape, n_train + max(1, n_train // 4))
    made |= cells.statistics(made["counts"][:n_train])
    for name, array in made.items():
        np.save(folder / f"{name}.npy", array)
    settings = dataclasses.asdict(spec) | {"n_train": n_train, "steps": args.steps}
    # other versions know other fields; those that are empty or 0 say nothing
    settings["sizes"] = {name: n for name, n in settings["sizes"].items() if n}
    (folder / "settings.json").write_text(json.dumps(settings))
    return n_train


def take_turns(
    roots: Mapping[str, Path], folder: Path, args: argparse.Namespace
) -> tuple[dict[str, Any], dict[tuple[str, str], list[dict[str, Any]]]]:
    """Return the first answer of each checkout, and its answers by name and by step or epoch."""
    workers: list[Worker] = []
    answers: dict[tuple[str, str], list[dict[str, Any]]] = {}
    try:
        for name, root in roots.items():
            command = [sys.executable, "-P", str(WORKER), str(folder)]
            environment = alternating.environment(root, args.device)
            worker = Worker(name, command, cwd=root, env=environment)
            workers.append(worker)
            if Path(worker.ready["package"]).parent != root:
                raise alternating.WorkerError(
                    f"the worker of {root} imported {worker.ready['package']}"
                )
            to_stderr(f"{name} is ready")
        for number in range(args.rounds):
            for what in WHAT:
                for worker in workers if number % 2 == 0 else workers[::-1]:
                    answer = worker.ask(1, what=what)
                    answers.setdefault((worker.name, what), []).append(answer)
            to_stderr(f"round {number + 1} of {args.rounds}")
        for worker in workers:
            worker.stop()
    finally:
        for worker in workers:
            worker.close()
    return {worker.name: worker.ready for worker in workers}, answers


def compared(
    answers: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]], what: str
) -> dict[str, Any]:
    """Return both summaries, the ratio of medians, the rounds' ratios, and the losses' distance."""
    old, new = ([a["seconds"][0] for a in answers[name, what]] for name in (OLD, NEW))
    losses = [answers[name, what][-1]["loss"] for name in (OLD, NEW)]
    return {
        OLD: summary(old),
        NEW: summary(new),
        "ratio": significant(float(np.median(new) / np.median(old)), 4),
        "ratio_by_round": summary([b / a for a, b in zip(old, new, strict=True)]),
        "losses_apart": significant(abs(losses[1] / losses[0] - 1), 2),
    }


def text(entry: Mapping[str, Any]) -> str:
    """Return the comparison as lines; a ratio below 1 means that this checkout is faster."""
    lines = [f"{'':6}{OLD:>18}{NEW:>18}{'ratio':>9}   by round          losses apart"]
    for what in WHAT:
        of, by_round = entry[what], entry[what]["ratio_by_round"]
        lines.append(
            f"{what:6}{of[OLD]['median']:>16.4g} s{of[NEW]['median']:>16.4g} s{of['ratio']:>9.3f}"
            f"   {by_round['min']:.3f} to {by_round['max']:.3f}    {of['losses_apart']:.1g}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
