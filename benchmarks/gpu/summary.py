"""What a compiled program costs: kernels, bytes, operations, and a roofline of its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.gpu.absent import Compiled
from benchmarks.gpu.cards import Card
from benchmarks.gpu.kernels import Kernel, Loop
from benchmarks.gpu.programs import Wanted
from benchmarks.inputs import shapes

LONG_US = 3.0  # kernels that take longer are counted by their bytes
LAUNCH_US = 0.5  # what the others take, one after the other in a graph
TOLERANCE = 0.05  # of kernels and bytes, above which a program has become worse
_NEARLY = 0.05  # by which an array of one number for each particle, cell and gene may be larger


def summary_of(
    compiled: Compiled,
    kernels: Sequence[Kernel],
    loops: Sequence[Loop],
    wanted: Wanted,
    card: Card,
) -> dict[str, Any]:
    """Return the costs of a program: of one step if it is a loop of steps, else of a run.

    Args:
      compiled: the program.
      kernels: of a run, from `kernels_of`.
      loops: that depend on data, from there too.
      wanted: which program it is.
      card: that it was compiled for.
    """
    kernels = [kernel for kernel in kernels if kernel.times >= wanted.steps]
    rate = card.rates[wanted.precision]

    def us(kernel: Kernel) -> float:
        return 1e6 * max(kernel.n_bytes / card.bandwidth, kernel.operations / rate)

    multiplying = [k for k in kernels if k.kind == "product"]
    long = [k for k in kernels if k.kind != "product" and us(k) > LONG_US]
    short = [k for k in kernels if k.kind != "product" and us(k) <= LONG_US]

    def total(some: Sequence[Kernel], of: Any = lambda _: 1) -> float:
        return sum(k.times * of(k) for k in some) / wanted.steps

    parts = {
        "products": total(multiplying, us),
        "long": total(long, us),
        "short": LAUNCH_US * total(short),
    }
    return {
        "kernels": round(total(kernels)),
        "product_kernels": round(total(multiplying)),
        "short_kernels": round(total(short)),
        "megabytes": round(total(kernels, lambda k: k.n_bytes) / 1e6, 1),
        "gflop": round(total(kernels, lambda k: k.operations) / 1e9, 1),
        "passes": _passes(kernels, wanted),
        "roofline_us": {name: round(value, 1) for name, value in parts.items()},
        "arguments_mib": round(compiled.argument_bytes / 2**20, 1),
        "temporary_mib": round(compiled.temporary_bytes / 2**20, 1),
        "output_mib": round(compiled.output_bytes / 2**20, 1),
        "decided_on_the_way": sorted(f"{loop.opcode} {loop.origin}" for loop in loops),
    }


def worse(found: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Name what a program has more of than before: passes, or others beyond the tolerance."""
    most = {
        "kernels": (1 + TOLERANCE) * before["kernels"],
        "megabytes": (1 + TOLERANCE) * before["megabytes"],
        "passes": before["passes"],
    }
    return [
        f"{name}: {found[name]:,} where there were {before[name]:,}"
        for name, number in most.items()
        if number is not None and found[name] > number
    ]


def _passes(kernels: Sequence[Kernel], wanted: Wanted) -> int | None:
    """Count how often a step reads or writes an array of all particles, cells and genes."""
    if wanted.program != "step":
        return None
    shape = shapes.SHAPES[wanted.shape]
    size = shapes.PUBLISHED_PARTICLES * shapes.PUBLISHED_BATCH * shape.genes
    of = [
        kernel.times * sum(size <= n <= (1 + _NEARLY) * size for n in kernel.arrays)
        for kernel in kernels
    ]
    return round(sum(of) / wanted.steps)
