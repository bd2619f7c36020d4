r"""Measure how a step's time grows with genes, treatments, particles and cells of a batch.

    python benchmarks/sizes.py --quick     (tiny, a minute)
    python benchmarks/sizes.py     (five minutes on two cores)

From RPE1's shape (with four particles, so that a quarter is one) one size at a time is set to a
quarter, a half and the whole; treatments take the perturbed ones with them. All sizes are compiled
first and then run in turn, so that what slows the machine down slows all of them. The result is
printed and, but for --quick, goes into benchmarks/results/sizes.json.

Beside each time stands what the mathematics says: operations of the matrix products, and the power
of the size with which the largest part may grow (pairs of treatments: the second).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import alternating, floor, results_file, shapes  # noqa: E402
from benchmarks import jax_program as program  # noqa: E402
from benchmarks.jax_step import Runner  # noqa: E402

FACTORS = (0.25, 0.5, 1.0)
POWERS = {"genes": 1, "treatments": 2, "particles": 1, "batch_size": 1}
PARTICLES = 4
TOLERANCE = 1.1  # on what the mathematics allows, for the noise of measurement


class Point(NamedTuple):
    """Hold the sizes of one measurement."""

    genes: int
    treatments: int
    perturbed: int
    particles: int
    batch_size: int


def main() -> None:
    """Measure every size and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    program.add_run_options(parser, rounds=5)
    parser.add_argument("--only", nargs="+", choices=POWERS, default=tuple(POWERS))
    parser.add_argument("--steps", type=int, help="of one measurement (2, on a GPU 40)")
    asked = program.parsed(parser)
    asked.steps = asked.steps or (40 if asked.device == "cuda" else 2)
    results_file.add(
        results_file.folder_of(asked), "sizes", measure(asked), ("shape", "device", "precision")
    )


def points(shape: shapes.Shape, names: Sequence[str]) -> dict[str, dict[float, Point]]:
    """Return the sizes to measure: by what is changed, then by factor."""
    batch = shapes.published(shape).train.batch_size
    whole = Point(shape.genes, shape.treatments, shape.perturbed, PARTICLES, batch)

    def part(name: str, factor: float) -> Point:
        changed = [name, *["perturbed"] * (name == "treatments")]
        return whole._replace(**{n: max(1, round(getattr(whole, n) * factor)) for n in changed})

    return {name: {factor: part(name, factor) for factor in FACTORS} for name in names}


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Compile a program for each size, run them in turn, and set the growth beside the limit."""
    shape = shapes.SHAPES[asked.shape]
    wanted = points(shape, asked.only)
    runners: dict[Point, Runner] = {}
    for point in [point for line in wanted.values() for point in line.values()]:
        if point not in runners:  # the whole is part of every line
            start = time.perf_counter()
            options = {"shape": shape.name, "precision": asked.precision, "batches": asked.steps}
            runners[point] = Runner(argparse.Namespace(**point._asdict(), **options), [asked.steps])
            took = time.perf_counter() - start
            alternating.to_stderr(f"{point} is ready after {took:.0f} s")
    rate = floor.Rate(asked.device, asked.precision, asked.quick)
    seconds: dict[Point, list[float]] = {point: [] for point in runners}
    products: list[float] = []
    for _ in range(asked.rounds):
        products.append(rate.run(10)["seconds"][0] / 10)
        for point, runner in runners.items():
            seconds[point] += [sum(runner.run(asked.steps)["seconds"]) / asked.steps]
    return {
        "shape": shape.name,
        "device": asked.device,
        "device_kind": jax.devices()[0].device_kind,
        "precision": asked.precision,
        "particles": PARTICLES,
        "steps": asked.steps,
        "rounds": asked.rounds,
        "gflop_per_s": alternating.significant(rate.flop / 1e9 / statistics.median(products)),
        "lines": {
            name: [described(shape, line[f], getattr(line[f], name), f, seconds) for f in FACTORS]
            for name, line in wanted.items()
        },
        "growth": {name: growth(shape, name, line, seconds) for name, line in wanted.items()},
    }


def described(
    shape: shapes.Shape,
    point: Point,
    value: int,
    factor: float,
    seconds: dict[Point, list[float]],
) -> dict[str, Any]:
    """Return one point of a line."""
    return {
        "factor": factor,
        "value": value,
        "step_s": alternating.summary(seconds[point]),
        "gflop": alternating.significant(flop_of(shape, point) / 1e9),
    }


def flop_of(shape: shapes.Shape, point: Point) -> float:
    """Count the operations of the products at some size."""
    scaled = shapes.scaled(
        shape, genes=point.genes, treatments=point.treatments, perturbed=point.perturbed
    )
    return floor.flop(scaled, point.batch_size, point.particles)


def growth(
    shape: shapes.Shape, name: str, line: dict[float, Point], seconds: dict[Point, list[float]]
) -> dict[str, Any]:
    """Say how much longer the whole takes than a quarter, and how much it may."""
    small, whole = line[FACTORS[0]], line[FACTORS[-1]]
    times = alternating.ratio(
        alternating.summary(seconds[whole]), alternating.summary(seconds[small])
    )
    at_most = (getattr(whole, name) / getattr(small, name)) ** POWERS[name]
    return {
        "times": times,
        "products": alternating.significant(flop_of(shape, whole) / flop_of(shape, small), 3),
        "at_most": alternating.significant(at_most, 3),
        "within": times <= TOLERANCE * at_most,
    }


if __name__ == "__main__":
    main()
