"""Take optimiser steps of this package when told to: a worker for benchmarks/alternating.py.

    python benchmarks/jax_step.py --worker --shape rpe1 --ks 1,4

Steps run as training runs them: k of them in one compiled scan, data and state on the device. A
request for k steps needs k among --ks. Without --worker it takes the largest k once and prints.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import alternating, memory  # noqa: E402
from benchmarks import jax_program as program  # noqa: E402


def main() -> None:
    """Set up, then serve requests."""
    parser = argparse.ArgumentParser(description=__doc__)
    program.add_shape_options(parser)
    parser.add_argument("--worker", action="store_true", help="serve requests on stdin")
    parser.add_argument("--device", choices=program.DEVICES, default="cpu")
    parser.add_argument("--precision", choices=program.PRECISIONS, default="float32")
    parser.add_argument("--ks", default="1,4", help="numbers of steps that can be asked for")
    parser.add_argument("--batches", type=int, default=8, help="different batches of cells")
    asked = parser.parse_args()
    program.use_device(asked.device)
    runner = Runner(asked, [int(k) for k in asked.ks.split(",")])
    if asked.worker:
        alternating.serve(runner.ready, runner.run, runner.last)
    else:
        print(json.dumps({**runner.ready, **runner.run(max(runner.programs)), **runner.last()}))


class Runner:
    """Hold data, state and compiled programs; `run(k)` takes k steps."""

    def __init__(self, asked: argparse.Namespace, ks: list[int]):
        """Simulate cells, compile for every k and run each program once."""
        begin = time.perf_counter()
        shape = program.chosen_shape(asked)
        config, sizes = program.configured(
            shape, asked.batch_size, asked.particles, asked.precision
        )
        self.device, self.size = jax.devices()[0], config.train.batch_size
        n_batches = asked.batches
        self.split = jax.device_put(program.split_of(shape, n_batches * self.size), self.device)
        self.rows = jnp.arange(n_batches * self.size, dtype=jnp.int32).reshape(n_batches, self.size)
        self.state, self.done = program.fresh(config, sizes), 0
        jax.block_until_ready((self.split, self.state))
        before = memory.resident_gib()

        self.programs, seconds, temporary = {}, {}, None
        for k in sorted(ks):
            start = time.perf_counter()
            compiled = program.compiled_steps(
                self.state, self.split, k, self.size, config=config, sizes=sizes
            )
            seconds[k] = round(time.perf_counter() - start, 2)
            self.programs[k], temporary = compiled, program.temporary_gib(compiled)
        for k in self.programs:
            self.run(k)
        self.before = before
        self.ready = {
            "compile_s": seconds[max(ks)],
            "compile_s_by_steps": seconds,
            "setup_s": round(time.perf_counter() - begin, 2),
            "data_gib": round(program.n_bytes(self.split) / 2**30, 3),
            "state_gib": round(program.n_bytes(self.state) / 2**30, 3),
            "resident_before_steps_gib": round(before, 3),
            **(temporary or {}),
            "versions": {"jax": jax.__version__},
            "device_kind": self.device.device_kind,
            "precision": asked.precision,
            "threads": len(os.sched_getaffinity(0)),
        }

    def run(self, k: int) -> dict[str, object]:
        """Take k steps on the next batches; give the seconds of all of them and the last loss."""
        if k not in self.programs:
            raise ValueError(f"{k} steps were asked for, but only {sorted(self.programs)} compiled")
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


if __name__ == "__main__":
    main()
