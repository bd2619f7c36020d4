r"""Measure the evaluation of held-out cells: predictive IWELBO, 100 particles, cells per second.

    python benchmarks/evaluate.py --quick     (tiny, a minute)
    python benchmarks/evaluate.py     (RPE1, 376 cells, minutes on two cores)

The result is printed and, but for --quick, goes into benchmarks/results/evaluate.json. The other
parts of an evaluation have programs of their own: benchmarks/effects.py (average treatment effects)
and benchmarks/network_stats.py.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import jax

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import alternating, memory, results_file, shapes  # noqa: E402
from benchmarks import jax_program as program  # noqa: E402
from gpo_vae_jax.evaluate.predictive_bound import (  # noqa: E402
    chunk_sizes,
    predictive_iwelbo_of_split,
)
from gpo_vae_jax.types import Split  # noqa: E402

TEST = 0.2  # share of all cells


def main() -> None:
    """Measure and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    program.add_run_options(parser, rounds=3)
    parser.add_argument("--cells", type=int, help="cells scored in a round (8 chunks)")
    parser.add_argument("--particles", type=int, default=100)
    parser.add_argument("--memory-gib", type=float, default=2.0, help="of one chunk")
    asked = program.parsed(parser)
    entry = measure(shapes.SHAPES[asked.shape], asked)
    results_file.add(
        results_file.folder_of(asked), "evaluate", entry, ("shape", "device", "precision")
    )


def measure(shape: shapes.Shape, asked: argparse.Namespace) -> dict[str, Any]:
    """Score the cells again and again, the first chunk once before to compile."""
    config, sizes = program.configured(shape, precision=asked.precision)
    width, rows = chunk_sizes(config.model, sizes, asked.particles, asked.memory_gib)
    split = program.split_of(shape, asked.cells or 8 * rows)
    n_cells = len(split.cells.weight)
    params = program.fresh(config, sizes).params
    chunk = Split(jax.tree.map(lambda a: a[:rows], split.cells), split.context)

    def score(of: Split, seed: int = 0) -> float:
        start = time.perf_counter()
        found = predictive_iwelbo_of_split(
            params,
            of,
            config=config.model,
            sizes=sizes,
            seed=seed,
            n_particles=asked.particles,
            memory_gib=asked.memory_gib,
        )
        scores.append(float(found.mean()))
        return time.perf_counter() - start

    scores: list[float] = []
    before, since_data = memory.resident_gib(), memory.forget_peak()
    first = score(chunk)
    again = score(chunk)
    seconds = [score(split, seed) for seed in range(asked.rounds)]
    per_second = alternating.summary([n_cells / s for s in seconds])
    peak = memory.peak_gib()
    return {
        "shape": shape.name,
        "device": asked.device,
        "device_kind": jax.devices()[0].device_kind,
        "precision": asked.precision,
        "particles": asked.particles,
        "cells": n_cells,
        "chunk": {"particles": width, "cells": min(rows, n_cells), "memory_gib": asked.memory_gib},
        "seconds": alternating.summary(seconds),
        "cells_per_s": per_second,
        "test_cells": round(shape.cells * TEST),
        "seconds_of_test_cells": alternating.significant(shape.cells * TEST / per_second["median"]),
        "compile_s": round(first - again, 2),
        "mean_score": scores[-1],
        "peak_gib": round(peak, 3),
        "above_data_gib": round(peak - before, 3) if since_data else None,
        "device_peak_gib": memory.device_peak_gib(jax.devices()[0]),
    }


if __name__ == "__main__":
    main()
