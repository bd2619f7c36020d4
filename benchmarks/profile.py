r"""Measure the parts of a step: each compiled and timed alone, beside its own floor.

    python -m benchmarks.profile --quick     (tiny, a minute)
    python -m benchmarks.profile     (RPE1, three minutes on two cores)

A part's floor is the longer of two times: its matrix products at the machine's measured rate, and
the bytes it must read and write at the memory's measured rate. Parts take turns with whole steps.
Compiled together, parts may share work and memory, so their sum need not be the whole step. The
result is printed. Without --quick it also goes into benchmarks/results/profile.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.inputs import shapes
from benchmarks.measuring import options, results_file
from benchmarks.measuring.summary import significant, summary, to_stderr
from benchmarks.programs import floor, step_parts
from benchmarks.programs import jax_program as program
from benchmarks.programs.matrix_product import Rate, bytes_per_s
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Split

WHOLE = "whole step"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and keep the result."""
    parser = options.parser_of(__doc__)
    options.add_all(parser, rounds=7)
    parser.add_argument(
        "--repeat", type=int, help="calls of one measurement (default: 1, on a GPU 20)"
    )
    args = options.parsed(parser, arguments)
    args.repeat = args.repeat or (20 if args.device == "cuda" else 1)
    program.use_device(args.device)
    entry = measure(shapes.SHAPES[args.shape], args)
    folder = results_file.folder_of(args)
    results_file.add(folder, "profile", entry, ("shape", "device", "precision"))


def measure(shape: shapes.Shape, args: argparse.Namespace) -> dict[str, Any]:
    """Time every part and the whole in turn, and set each beside its floor."""
    spec = shapes.spec_of(shape, precision=args.precision)
    n_cells = spec.train.batch_size
    split = jax.device_put(program.split_of(shape, 2 * n_cells), jax.devices()[0])
    rows = jnp.arange(n_cells, dtype=jnp.int32)
    parts = step_parts.parts_of(split, rows, spec)
    calls = {}
    for part in parts:
        calls[part.name, "forward"] = ready(part.function, part.by, part.rest)
        if part.backward:
            both = step_parts.with_gradient(part.function)
            calls[part.name, "with_gradient"] = ready(both, part.by, part.rest)
    calls[WHOLE, "with_gradient"] = whole_step(split, rows, spec)

    rate = Rate(args.device, args.precision, args.quick)
    seconds: dict[tuple[str, str], list[float]] = {name: [] for name in calls}
    products: list[float] = []
    for number in range(args.rounds):
        products.append(rate.run(10)["seconds"][0] / 10)
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(args.repeat):
                result = call()
            jax.block_until_ready(result)
            seconds[name].append((time.perf_counter() - start) / args.repeat)
        to_stderr(f"round {number + 1} of {args.rounds}")
    speed = {
        "flop_per_s": rate.flop / summary(products)["median"],
        "bytes_per_s": bytes_per_s(2**16 if args.quick else 2**25),
    }
    rows_of_table = [described(part, shape, spec, seconds, speed) for part in parts]
    return {
        "shape": shape.name,
        "device": args.device,
        "device_kind": jax.devices()[0].device_kind,
        "precision": args.precision,
        "gflop_per_s": significant(speed["flop_per_s"] / 1e9),
        "gb_per_s": significant(speed["bytes_per_s"] / 1e9),
        "parts": rows_of_table,
        "whole_s": summary(seconds[WHOLE, "with_gradient"]),
        "sum_of_parts_s": significant(sum(r["in_step_s"] for r in rows_of_table)),
        "sum_of_floors_s": significant(sum(r["floor_s"] for r in rows_of_table)),
    }


def ready(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Compile a call, run it once, and return it."""
    compiled = jax.jit(function).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))
    return lambda: compiled(*arguments)


def whole_step(split: Split, rows: Array, spec: Spec) -> Callable[[], Any]:
    """Return a call that takes one step and keeps the state for the next."""
    held = [program.initial(spec)]
    run = program.compiled_steps(held[0], split, 1, len(rows), spec=spec)

    def call():
        held[0], parts = run(held[0], split, rows[None], jnp.int32(0))
        return parts

    jax.block_until_ready(call())
    return call


def described(
    part: step_parts.Part,
    shape: shapes.Shape,
    spec: Spec,
    seconds: Mapping[tuple[str, str], Sequence[float]],
    speed: Mapping[str, float],
) -> dict[str, Any]:
    """Return a part's times and floor, for all its calls in a step."""
    at_genes = spec.train.n_particles * spec.train.batch_size * shape.genes
    flop = sum(product.flop for product in floor.products(shape) if product.part == part.name)
    moved = part.calls * step_parts.moved_bytes(part, at_genes)
    least = max(flop / speed["flop_per_s"], moved / speed["bytes_per_s"])
    of_part = {
        f"{how}_s": summary(seconds[part.name, how])
        for how in ("forward", "with_gradient")
        if (part.name, how) in seconds
    }
    in_step = part.calls * of_part[f"{'with_gradient' if part.backward else 'forward'}_s"]["median"]
    return {
        "part": part.name,
        "calls": part.calls,
        **of_part,
        "in_step_s": significant(in_step),
        "gflop": significant(flop / 1e9),
        "gb": significant(moved / 1e9),
        "floor_s": significant(least),
        "bound_by": "products" if flop / speed["flop_per_s"] >= least else "memory",
        "share_of_floor": significant(least / in_step, 3),
    }


if __name__ == "__main__":
    main()
