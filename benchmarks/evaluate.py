r"""Measure the evaluation of held-out cells: predictive IWELBO, 100 particles, cells per second.

    python -m benchmarks.evaluate --quick     (tiny, a minute)
    python -m benchmarks.evaluate     (RPE1, 376 cells, minutes on two cores)

The other parts of an evaluation have benchmarks of their own: benchmarks/effects.py (average
treatment effects) and benchmarks/network_stats.py. The result is printed. Without --quick it also
goes into benchmarks/results/evaluate.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import jax

from benchmarks.inputs import shapes
from benchmarks.measuring import memory, options, results_file
from benchmarks.measuring.summary import significant, summary
from benchmarks.programs import jax_program as program
from gpo_vae_jax.evaluate.predictive_bound import chunk_sizes, predictive_iwelbo_of_split
from gpo_vae_jax.types import Split

TEST = 0.2  # share of all cells


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and keep the result."""
    parser = options.parser_of(__doc__)
    options.add_all(parser, rounds=3)
    parser.add_argument("--cells", type=int, help="cells scored in a round (default: 8 chunks)")
    parser.add_argument("--particles", type=int, default=100)
    parser.add_argument("--memory-gib", type=float, default=2.0, help="of one chunk")
    args = options.parsed(parser, arguments)
    program.use_device(args.device)
    entry = measure(shapes.SHAPES[args.shape], args)
    folder = results_file.folder_of(args)
    results_file.add(folder, "evaluate", entry, ("shape", "device", "precision"))


def measure(shape: shapes.Shape, args: argparse.Namespace) -> dict[str, Any]:
    """Score the same cells in every round; the first chunk is scored before, to compile."""
    spec = shapes.spec_of(shape, precision=args.precision)
    width, rows = chunk_sizes(args.particles, args.memory_gib, spec=spec)
    split = program.split_of(shape, args.cells or 8 * rows)
    n_cells = len(split.cells.weight)
    params = program.initial(spec).params
    chunk = Split(jax.tree.map(lambda a: a[:rows], split.cells), split.context)

    def score(of: Split, seed: int = 0) -> float:
        start = time.perf_counter()
        found = predictive_iwelbo_of_split(
            params,
            of,
            spec=spec,
            seed=seed,
            n_particles=args.particles,
            memory_gib=args.memory_gib,
        )
        scores.append(float(found.mean()))
        return time.perf_counter() - start

    scores: list[float] = []
    before, since_data = memory.resident_gib(), memory.forget_peak()
    first = score(chunk)
    again = score(chunk)
    seconds = [score(split, seed) for seed in range(args.rounds)]
    per_second = summary([n_cells / s for s in seconds])
    peak = memory.peak_gib()
    return {
        "shape": shape.name,
        "device": args.device,
        "device_kind": jax.devices()[0].device_kind,
        "precision": args.precision,
        "particles": args.particles,
        "cells": n_cells,
        "chunk": {"particles": width, "cells": min(rows, n_cells), "memory_gib": args.memory_gib},
        "seconds": summary(seconds),
        "cells_per_s": per_second,
        "test_cells": round(shape.cells * TEST),
        "seconds_of_test_cells": significant(shape.cells * TEST / per_second["median"]),
        "compile_s": round(first - again, 2),
        "mean_score": scores[-1],
        "peak_gib": round(peak, 3),
        "above_data_gib": round(peak - before, 3) if since_data else None,
        "device_peak_gib": memory.device_peak_gib(jax.devices()[0]),
    }


if __name__ == "__main__":
    main()
