r"""Measure how a step's time grows with genes, treatments, particles and cells of a batch.

    python -m benchmarks.sizes --quick     (tiny, a minute)
    python -m benchmarks.sizes     (five minutes on two cores)

One size of RPE1's shape at a time is set to a quarter, a half and the whole (with four particles,
so that a quarter is one); perturbed treatments shrink with the treatments. All sizes are compiled
first and then run in turn, so that a slow minute slows them all. Beside each time stands what the
mathematics says: the operations of the matrix products, and the power of the size with which the
largest part may grow (pairs of treatments: the second). The result is printed. Without --quick it
also goes into benchmarks/results/sizes.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from benchmarks.inputs import shapes
from benchmarks.inputs.shapes import Shape
from benchmarks.measuring import options, results_file
from benchmarks.measuring.summary import ratio, significant, summary, to_stderr
from benchmarks.programs import floor
from benchmarks.programs import jax_program as program
from benchmarks.programs.jax_step import Runner
from benchmarks.programs.matrix_product import Rate

FACTORS = (0.25, 0.5, 1.0)
POWERS = {"genes": 1, "treatments": 2, "particles": 1, "batch_size": 1}
PARTICLES = 4
TOLERANCE = 1.1  # on what the mathematics allows, for noise


class Point(NamedTuple):
    """The sizes of one measurement."""

    genes: int
    treatments: int
    perturbed: int
    particles: int
    batch_size: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every size, and keep the result."""
    parser = options.parser_of(__doc__)
    options.add_all(parser, rounds=5)
    parser.add_argument("--only", nargs="+", choices=POWERS, default=tuple(POWERS))
    parser.add_argument("--steps", type=int, help="of one measurement (default: 2, on a GPU 40)")
    args = options.parsed(parser, arguments)
    args.steps = args.steps or (40 if args.device == "cuda" else 2)
    program.use_device(args.device)
    folder = results_file.folder_of(args)
    results_file.add(folder, "sizes", measure(args), ("shape", "device", "precision"))


def points(shape: Shape, names: Sequence[str]) -> dict[str, dict[float, Point]]:
    """Return the sizes to measure, by the size that changes and then by factor."""
    batch = shapes.published(shape).train.batch_size
    whole = Point(shape.genes, shape.treatments, shape.perturbed, PARTICLES, batch)

    def part(name: str, factor: float) -> Point:
        changed = [name, *["perturbed"] * (name == "treatments")]
        return whole._replace(**{n: max(1, round(getattr(whole, n) * factor)) for n in changed})

    return {name: {factor: part(name, factor) for factor in FACTORS} for name in names}


def at(shape: Shape, point: Point) -> Shape:
    """Return the shape at a point."""
    return shapes.scaled(
        shape, genes=point.genes, treatments=point.treatments, perturbed=point.perturbed
    )


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Compile a program for each size, run them in turn, and set the growth beside the limit."""
    shape = shapes.SHAPES[args.shape]
    wanted = points(shape, args.only)
    runners: dict[Point, Runner] = {}
    for point in [point for line in wanted.values() for point in line.values()]:
        if point not in runners:  # the whole is part of every line
            start = time.perf_counter()
            runners[point] = Runner(
                at(shape, point),
                [args.steps],
                batch_size=point.batch_size,
                n_particles=point.particles,
                precision=args.precision,
                n_batches=args.steps,
            )
            to_stderr(f"{point} is ready after {time.perf_counter() - start:.0f} s")
    rate = Rate(args.device, args.precision, args.quick)
    seconds: dict[Point, list[float]] = {point: [] for point in runners}
    products: list[float] = []
    for _ in range(args.rounds):
        products.append(rate.run(10)["seconds"][0] / 10)
        for point, runner in runners.items():
            seconds[point] += [sum(runner.run(args.steps)["seconds"]) / args.steps]
    return {
        "shape": shape.name,
        "device": args.device,
        "device_kind": jax.devices()[0].device_kind,
        "precision": args.precision,
        "particles": PARTICLES,
        "steps": args.steps,
        "rounds": args.rounds,
        "gflop_per_s": significant(rate.flop / 1e9 / statistics.median(products)),
        "lines": {
            name: [described(shape, line[f], getattr(line[f], name), f, seconds) for f in FACTORS]
            for name, line in wanted.items()
        },
        "growth": {name: growth(shape, name, line, seconds) for name, line in wanted.items()},
    }


def described(
    shape: Shape, point: Point, value: int, factor: float, seconds: dict[Point, list[float]]
) -> dict[str, Any]:
    """Return one point of a line."""
    return {
        "factor": factor,
        "value": value,
        "step_s": summary(seconds[point]),
        "gflop": significant(flop_of(shape, point) / 1e9),
    }


def flop_of(shape: Shape, point: Point) -> float:
    """Count the operations of the products at a point."""
    return floor.flop(at(shape, point), point.batch_size, point.particles)


def growth(
    shape: Shape, name: str, line: dict[float, Point], seconds: dict[Point, list[float]]
) -> dict[str, Any]:
    """Return how many times longer the whole takes than a quarter, and how many it may."""
    small, whole = line[FACTORS[0]], line[FACTORS[-1]]
    times = ratio(summary(seconds[whole]), summary(seconds[small]))
    at_most = (getattr(whole, name) / getattr(small, name)) ** POWERS[name]
    return {
        "times": times,
        "products": significant(flop_of(shape, whole) / flop_of(shape, small), 3),
        "at_most": significant(at_most, 3),
        "within": times <= TOLERANCE * at_most,
    }


if __name__ == "__main__":
    main()
