"""The command-line options that several benchmarks share; standard library alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.inputs import shapes
from benchmarks.inputs.shapes import Shape

PRECISIONS = ("float32", "tf32", "bf16")
DEVICES = ("cpu", "cuda")
PLATFORMS = {"cpu": "cpu", "cuda": "cuda,cpu"}  # of jax, by device
QUICK_ROUNDS = 2


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is the docstring of the command's module."""
    command = Path(sys.argv[0]).with_suffix("").parts
    name = ".".join(command[command.index("benchmarks") :]) if "benchmarks" in command else "..."
    return argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_results(
    parser: argparse.ArgumentParser, default: str = "benchmarks/results; with --quick none"
) -> None:
    """Add --quick and --results."""
    parser.add_argument("--quick", action="store_true", help="tiny; writes only into --results")
    parser.add_argument("--results", type=Path, help=f"folder of results (default: {default})")


def add_rounds(parser: argparse.ArgumentParser, default: int) -> None:
    """Add --rounds."""
    parser.add_argument("--rounds", type=int, default=default, help="(default: %(default)s)")


def add_device(parser: argparse.ArgumentParser, precision: bool = True) -> None:
    """Add --device, and --precision unless the command runs at several."""
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    if precision:
        parser.add_argument(
            "--precision", choices=PRECISIONS, default="float32", help="of matrix products"
        )


def add_shape(parser: argparse.ArgumentParser) -> None:
    """Add --shape."""
    parser.add_argument("--shape", choices=shapes.SHAPES, default="rpe1")


def add_all(parser: argparse.ArgumentParser, rounds: int) -> None:
    """Add --quick, --results, --shape, --rounds, --device and --precision."""
    add_results(parser)
    add_common(parser, rounds)


def add_common(parser: argparse.ArgumentParser, rounds: int) -> None:
    """Add --shape, --rounds, --device and --precision."""
    add_shape(parser)
    add_rounds(parser, rounds)
    add_device(parser)


def add_shape_changes(parser: argparse.ArgumentParser) -> None:
    """Add --shape, and the options that replace one of its sizes."""
    add_shape(parser)
    for name in ("genes", "treatments", "perturbed", "batch-size", "particles"):
        parser.add_argument(f"--{name}", type=int, help="instead of the shape's")


def chosen_shape(args: argparse.Namespace) -> Shape:
    """Return the shape chosen by `add_shape_changes`."""
    return shapes.scaled(
        shapes.SHAPES[args.shape],
        genes=args.genes,
        treatments=args.treatments,
        perturbed=args.perturbed,
    )


def parsed(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> argparse.Namespace:
    """Parse the command line; --quick means the tiny shape and two rounds at most."""
    args = parser.parse_args(arguments)
    if args.quick and "shape" in args:
        args.shape = ["tiny"] if isinstance(args.shape, (list, tuple)) else "tiny"
    if args.quick and "rounds" in args:
        args.rounds = min(args.rounds, QUICK_ROUNDS)
    return args
