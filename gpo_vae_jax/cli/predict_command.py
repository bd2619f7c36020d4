r"""Predict cells under perturbations, in the data or not, with control cells.

Writes counts as h5ad (docs/data.md). With --for-cell-eval it writes the test
cells and their prediction, log-normalised alike, and prints the command that
runs cell-eval on both (docs/evaluation.md).

    gpo-vae predict --workdir=runs/demo --output=prediction.h5ad \
        --perturbations GENE001 GENE005 GENE001+GENE005 --cells=500
    gpo-vae predict --workdir=runs/demo --output=runs/demo/test --for-cell-eval
"""

from __future__ import annotations

import argparse

from gpo_vae_jax.cli.arguments import (
    CommandParser,
    add_workdir,
    number,
    required,
    whole_number,
    workdir_of,
)
from gpo_vae_jax.cli.invocation import Invocation
from gpo_vae_jax.errors import ConfigError


def define(parser: CommandParser) -> None:
    """Add the options."""
    parser.takes(
        "--workdir=DIR --output=FILE --perturbations NAME ...",
        words="perturbations",
    )
    files = parser.group("files")
    add_workdir(files)
    files.add_argument(
        "--output", metavar="FILE", help="h5ad file to write, or the folder for cell-eval"
    )
    files.add_argument(
        "--data", metavar="FILE", default="", help="the prepared file, if it was moved"
    )
    what = parser.group("what to predict")
    what.add_argument(
        "--perturbations",
        metavar="NAME",
        nargs="+",
        action="extend",
        default=[],
        help="rows of grn.csv, or several joined by +: A B A+B, or A,B; all: those of the data",
    )
    parser.flag(
        what,
        "for_cell_eval",
        default=False,
        help="all test cells and as many predicted ones, as two files of a folder",
    )
    what.add_argument(
        "--cells",
        metavar="N",
        type=whole_number(1),
        default=500,
        help="cells of each perturbation; with --expected, draws behind each mean (default: 500)",
    )
    parser.flag(
        what,
        "expected",
        default=False,
        help="expected counts, a row for each perturbation (layer sd: their spread)",
    )
    parser.flag(what, "control", default=True, help="leave control cells out")
    what.add_argument(
        "--quality", choices=["good", "bad"], default="good", help="of the cells (default: good)"
    )
    what.add_argument(
        "--library_size",
        metavar="N",
        default="10000",
        help="UMI count of each cell, or 'observed': those of training cells (default: 10000)",
    )
    how = parser.group("how")
    how.add_argument(
        "--seed", metavar="N", type=whole_number(0), default=0, help="of the draws (default: 0)"
    )
    how.add_argument(
        "--memory_gib",
        metavar="GIB",
        type=number(0.0),
        default=2.0,
        help="memory that one chunk of the work may take (default: 2)",
    )


def run(args: argparse.Namespace, invocation: Invocation) -> None:
    """Predict, and print what each perturbation is to the model."""
    workdir = workdir_of(args)
    if args.for_cell_eval:
        _for_cell_eval(workdir, args, invocation)
        return
    words = [name for word in args.perturbations for name in word.split(",") if name]
    required(words, "--perturbations", "what to predict", "--perturbations A B A+B")
    output = required(args.output, "--output", "the h5ad to write", "--output=prediction.h5ad")
    from gpo_vae_jax.compilation_cache import use_compilation_cache
    from gpo_vae_jax.predict.predicted_cells import PredictionRequest
    from gpo_vae_jax.runs.predicted import predict_to_file

    use_compilation_cache()
    request = PredictionRequest.checked(
        n_cells=args.cells,
        expected=args.expected,
        library_size=args.library_size,
        quality=args.quality,
        control=args.control,
        seed=args.seed,
        memory_gib=args.memory_gib,
    )
    print("\n".join(predict_to_file(workdir, words, output, request, args.data)))


def _for_cell_eval(workdir: str, args: argparse.Namespace, invocation: Invocation) -> None:
    """Write the two files of cell-eval; options that choose cells contradict the test cells."""
    parser = CommandParser("predict", "", invocation)
    define(parser)
    default = parser.read([])
    for option in ("perturbations", "cells", "expected", "control", "quality", "library_size"):
        if getattr(args, option) != getattr(default, option):
            raise ConfigError(
                f"--{option} and --for-cell-eval contradict each other: the test cells decide "
                "which cells are predicted"
            )
    output = required(args.output, "--output", "the folder of the two files", "--output=cell_eval")
    from gpo_vae_jax.compilation_cache import use_compilation_cache
    from gpo_vae_jax.runs.predicted import predict_for_cell_eval

    use_compilation_cache()
    lines = predict_for_cell_eval(
        workdir, output, data_path=args.data, seed=args.seed, memory_gib=args.memory_gib
    )
    print("\n".join(lines))
