r"""Measure training from cells on disk: memory against cells, the loader, and the step.

    python -m benchmarks.streaming --quick     (tiny, a minute)
    python -m benchmarks.streaming     (RPE1's genes; 20,000, 100,000 and 300,000 cells, 10 minutes)

The cells are written to a temporary folder in --folder, 7 GB for 300,000 cells, and deleted. Each
size is opened, read and trained on in a process of its own. The result is printed. Without --quick
it also goes into benchmarks/results/streaming.json.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.inputs import shapes, stored
from benchmarks.measuring import options, results_file
from benchmarks.programs import streaming
from benchmarks.workers import own_process

IN_MEMORY_AT_MOST = 100_000  # cells that are also kept in memory, to compare


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and keep the result."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    options.add_shape(parser)
    options.add_rounds(parser, 5)
    parser.add_argument("--cells", type=int, nargs="+", default=[20_000, 100_000, 300_000])
    parser.add_argument("--steps", type=int, default=4, help="of each measurement")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    args = options.parsed(parser, arguments)
    if args.quick:
        args.cells, args.steps = [500, 1500], 2
    results_file.add(results_file.folder_of(args), "streaming", measure(args), ("shape",))


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Measure memory at each size, then loader and step at the middle one."""
    shape = shapes.SHAPES[args.shape]
    sizes, middle, rates = [], sorted(args.cells)[len(args.cells) // 2], {}
    for n_cells in sorted(args.cells):
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            cells = Path(folder) / "cells"
            own_process.call(stored.write, cells, shape, n_cells)
            for in_memory in (False, True)[: 1 + (n_cells <= IN_MEMORY_AT_MOST)]:
                what = (cells, shape, args.steps, in_memory)
                sizes.append(own_process.call(streaming.memory_of_training, *what))
            if n_cells == middle:
                what = (cells, shape, args.rounds)
                rates["loader"] = own_process.call(streaming.loaders, *what)
                what = (cells, shape, args.steps, args.rounds)
                rates["step_cells_per_s"] = own_process.call(streaming.steps_of_both, *what)
    return {
        "shape": shape.name,
        "genes": shape.genes,
        "treatments": shape.treatments,
        "batch_size": shapes.published(shape).train.batch_size,
        "rates_at_cells": middle,
        "sizes": sizes,
        **rates,
    }


if __name__ == "__main__":
    main()
