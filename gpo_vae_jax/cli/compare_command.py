"""Put evaluated runs side by side: metrics, and the edges they share.

Differences are taken from the first run; overlaps stand beside chance.

    gpo-vae compare runs/seed0 runs/seed1 --output=runs/seeds
    gpo-vae compare old=runs/a new=runs/b --output=runs/old_new

Written: compare.csv (metrics of each run, mean, sd, differences),
compare_edges.csv (shared edges of every two runs), compare.json (both),
compare_edges.png and compare_metrics.png.
"""

from __future__ import annotations

import argparse

from gpo_vae_jax.cli.arguments import CommandParser
from gpo_vae_jax.cli.invocation import Invocation


def define(parser: CommandParser) -> None:
    """Add the options."""
    parser.takes("RUN RUN ... [options]", words="words")
    runs = parser.group("runs", about="RUN is the folder of an evaluated run, or NAME=DIR.")
    parser.flag(
        runs, "different_data", default=False, help="compare runs on different data as well"
    )
    files = parser.group("files")
    files.add_argument(
        "--output",
        metavar="DIR",
        default="comparison",
        help="folder to write to (default: comparison)",
    )


def run(args: argparse.Namespace, invocation: Invocation) -> None:
    """Compare, write, and print the main metrics."""
    del invocation
    from gpo_vae_jax.evaluate.comparison.compare_files import comparison_table, write_comparison
    from gpo_vae_jax.runs.compared import compare_folders

    comparison = compare_folders(args.words, different_data=args.different_data)
    write_comparison(comparison, args.output)
    print(comparison_table(comparison))
    print(f"written to {args.output}: compare.csv, compare_edges.csv, compare.json and two figures")
