"""Take optimiser steps of this package on request: a worker.

    python -m benchmarks.programs.jax_step --shape rpe1 --ks 1,4

Steps run as training runs them: k of them in one compiled scan, data and state on the device. A
request for k steps needs k among --ks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from benchmarks.inputs import shapes
from benchmarks.inputs.shapes import Shape
from benchmarks.measuring import memory, options
from benchmarks.programs import jax_program as program
from benchmarks.workers import alternating


class Runner:
    """Data, state and compiled programs; `run(k)` takes k steps."""

    def __init__(
        self,
        shape: Shape,
        ks: Sequence[int],
        *,
        batch_size: int | None = None,
        n_particles: int | None = None,
        precision: str = "float32",
        n_batches: int = 8,
    ):
        """Simulate the cells of `n_batches` batches, compile for each k, run each program once."""
        begin = time.perf_counter()
        spec = shapes.spec_of(shape, batch_size, n_particles, precision)
        self.device, self.size = jax.devices()[0], spec.train.batch_size
        self.split = jax.device_put(program.split_of(shape, n_batches * self.size), self.device)
        self.rows = jnp.arange(n_batches * self.size, dtype=jnp.int32).reshape(n_batches, self.size)
        self.state, self.done = program.initial(spec), 0
        jax.block_until_ready((self.split, self.state))
        self.before = memory.resident_gib()

        self.programs, seconds, temporary = {}, {}, None
        for k in sorted(ks):
            start = time.perf_counter()
            compiled = program.compiled_steps(self.state, self.split, k, self.size, spec=spec)
            seconds[k] = round(time.perf_counter() - start, 2)
            self.programs[k], temporary = compiled, program.temporary_gib(compiled)
        for k in self.programs:
            self.run(k)
        self.ready = {
            "compile_s": seconds[max(ks)],
            "compile_s_by_steps": seconds,
            "setup_s": round(time.perf_counter() - begin, 2),
            "data_gib": round(program.n_bytes(self.split) / 2**30, 3),
            "state_gib": round(program.n_bytes(self.state) / 2**30, 3),
            "resident_before_steps_gib": round(self.before, 3),
            **(temporary or {}),
            "versions": {"jax": jax.__version__},
            "device_kind": self.device.device_kind,
            "precision": precision,
            "threads": len(os.sched_getaffinity(0)),
        }

    def run(self, k: int) -> dict[str, object]:
        """Take k steps on the next batches; return their seconds in total, and the last loss.

        Raises:
          ValueError: nothing was compiled for k steps.
        """
        if k not in self.programs:
            raise ValueError(f"{k} steps were requested, but only {sorted(self.programs)} compiled")
        n = len(self.rows)
        rows = self.rows[(self.done + jnp.arange(k)) % n]
        first = jnp.int32(self.done)
        jax.block_until_ready((rows, first, self.state))
        start = time.perf_counter()
        self.state, parts = self.programs[k](self.state, self.split, rows, first)
        jax.block_until_ready((self.state, parts))
        seconds = time.perf_counter() - start
        self.done += k
        return {"seconds": [seconds], "loss": float(parts["loss"][-1])}

    def last(self) -> dict[str, float]:
        """Return the peaks of memory."""
        found = {
            "peak_gib": round(memory.peak_gib(), 3),
            "above_data_gib": round(memory.peak_gib() - self.before, 3),
        }
        peak = memory.device_peak_gib(self.device)
        return found if peak is None else {**found, "device_peak_gib": peak}


def main(arguments: Sequence[str] | None = None) -> None:
    """Set up, then serve requests."""
    parser = options.parser_of(__doc__)
    options.add_shape_changes(parser)
    options.add_device(parser)
    parser.add_argument("--ks", default="1,4", help="numbers of steps that can be requested")
    parser.add_argument("--batches", type=int, default=8, help="different batches of cells")
    args = parser.parse_args(arguments)
    program.use_device(args.device)
    runner = Runner(
        options.chosen_shape(args),
        [int(k) for k in args.ks.split(",")],
        batch_size=args.batch_size,
        n_particles=args.particles,
        precision=args.precision,
        n_batches=args.batches,
    )
    alternating.serve(runner.ready, runner.run, runner.last)


if __name__ == "__main__":
    main()
