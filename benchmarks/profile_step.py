r"""Say where a step's time goes: each part compiled and timed alone, beside its own floor.

    python benchmarks/profile_step.py --quick     (tiny, a minute)
    python benchmarks/profile_step.py     (RPE1, three minutes on two cores)

A part's floor is the longer of two times: its matrix products at the machine's measured rate, and
the bytes it must read and write at the memory's measured rate. Parts are timed in turn with whole
steps. Compiled together they may share work and memory, so their sum need not be the whole step.
The result is printed and, but for --quick, goes into benchmarks/results/profile.json.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import alternating, floor, results_file, shapes, step_parts  # noqa: E402
from benchmarks import jax_program as program  # noqa: E402

WHOLE = "whole step"


def main() -> None:
    """Measure and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    program.add_run_options(parser, rounds=7)
    parser.add_argument("--repeat", type=int, help="calls of one measurement (1, on a GPU 20)")
    asked = program.parsed(parser)
    asked.repeat = asked.repeat or (20 if asked.device == "cuda" else 1)
    entry = measure(shapes.SHAPES[asked.shape], asked)
    folder = results_file.folder_of(asked)
    results_file.add(folder, "profile", entry, ("shape", "device", "precision"))


def measure(shape: shapes.Shape, asked: argparse.Namespace) -> dict[str, Any]:
    """Time every part and the whole in turn, and set each beside its floor."""
    config, sizes = program.configured(shape, precision=asked.precision)
    n_cells = config.train.batch_size
    split = jax.device_put(program.split_of(shape, 2 * n_cells), jax.devices()[0])
    rows = jnp.arange(n_cells, dtype=jnp.int32)
    parts = step_parts.parts_of(split, rows, config, sizes)
    calls = {}
    for part in parts:
        calls[part.name, "forward"] = ready(part.function, part.by, part.rest)
        if part.backward:
            both = step_parts.with_gradient(part.function)
            calls[part.name, "with_gradient"] = ready(both, part.by, part.rest)
    calls[WHOLE, "with_gradient"] = whole_step(split, rows, config, sizes)

    rate = floor.Rate(asked.device, asked.precision, asked.quick)
    seconds: dict[tuple[str, str], list[float]] = {name: [] for name in calls}
    products: list[float] = []
    for number in range(asked.rounds):
        products.append(rate.run(10)["seconds"][0] / 10)
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(asked.repeat):
                result = call()
            jax.block_until_ready(result)
            seconds[name].append((time.perf_counter() - start) / asked.repeat)
        alternating.to_stderr(f"round {number + 1} of {asked.rounds}")
    speed = {
        "flop_per_s": rate.flop / alternating.summary(products)["median"],
        "bytes_per_s": floor.bytes_per_s(asked.device, 2**16 if asked.quick else 2**25),
    }
    rows_of_table = [described(part, shape, config, seconds, speed) for part in parts]
    whole = alternating.summary(seconds[WHOLE, "with_gradient"])
    return {
        "shape": shape.name,
        "device": asked.device,
        "device_kind": jax.devices()[0].device_kind,
        "precision": asked.precision,
        "gflop_per_s": alternating.significant(speed["flop_per_s"] / 1e9),
        "gb_per_s": alternating.significant(speed["bytes_per_s"] / 1e9),
        "parts": rows_of_table,
        "whole_s": whole,
        "sum_of_parts_s": alternating.significant(sum(r["in_step_s"] for r in rows_of_table)),
        "sum_of_floors_s": alternating.significant(sum(r["floor_s"] for r in rows_of_table)),
    }


def ready(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Compile a call, make it once, and give it."""
    compiled = jax.jit(function).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))
    return lambda: compiled(*arguments)


def whole_step(split, rows, config, sizes) -> Callable[[], Any]:
    """Return a call that takes one step and keeps the state for the next."""
    held = [program.fresh(config, sizes)]
    run = program.compiled_steps(held[0], split, 1, len(rows), config=config, sizes=sizes)

    def call():
        held[0], parts = run(held[0], split, rows[None], jnp.int32(0))
        return parts

    jax.block_until_ready(call())
    return call


def described(part, shape, config, seconds, speed) -> dict[str, Any]:
    """Return a part's times and floor, for all its calls in a step."""
    at_genes = config.train.n_particles * config.train.batch_size * shape.genes
    listed = [p for p in floor.products(shape) if p.part == part.name]
    flop = sum(product.flop for product in listed)
    moved = part.calls * step_parts.moved_bytes(part, at_genes)
    least = max(flop / speed["flop_per_s"], moved / speed["bytes_per_s"])
    of_part = {
        f"{how}_s": alternating.summary(seconds[part.name, how])
        for how in ("forward", "with_gradient")
        if (part.name, how) in seconds
    }
    in_step = part.calls * of_part[f"{'with_gradient' if part.backward else 'forward'}_s"]["median"]
    return {
        "part": part.name,
        "calls": part.calls,
        **of_part,
        "in_step_s": alternating.significant(in_step),
        "gflop": alternating.significant(flop / 1e9),
        "gb": alternating.significant(moved / 1e9),
        "floor_s": alternating.significant(least),
        "bound_by": "products" if flop / speed["flop_per_s"] >= least else "memory",
        "share_of_floor": alternating.significant(least / in_step, 3),
    }


if __name__ == "__main__":
    main()
