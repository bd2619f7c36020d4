r"""Measure training several seeds at once, by `vmap`, beside training them one after the other.

    python benchmarks/seeds.py --quick     (tiny, a minute)
    python benchmarks/seeds.py     (five seeds, 3,840 cells of 120 genes, a minute on two cores)

An epoch of all seeds in one program and as many epochs of single runs take turns. The result is
printed and, but for --quick, goes into benchmarks/results/seeds.json. It is for small data, where
one run alone leaves a machine idle; at RPE1's shape every run fills it.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import alternating, memory, results_file, shapes  # noqa: E402
from benchmarks import jax_program as program  # noqa: E402
from benchmarks.epoch import simulated, table  # noqa: E402
from gpo_vae_jax.config import Config, compiled_part  # noqa: E402
from gpo_vae_jax.train import TrainState, init_state, run_epoch  # noqa: E402

SMALL = shapes.Shape("small", 120, 30, 20, 6000, "rpe1")


def main() -> None:
    """Measure and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    results_file.add_options(parser)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", choices=program.DEVICES, default="cpu")
    parser.add_argument("--precision", choices=program.PRECISIONS, default="float32")
    asked = parser.parse_args()
    shape = SMALL
    if asked.quick:
        shape, asked.rounds, asked.seeds = shapes.SHAPES["tiny"], 2, 2
    program.use_device(asked.device)
    results_file.add(
        results_file.folder_of(asked),
        "seeds",
        measure(shape, asked),
        ("shape", "seeds", "device", "precision"),
    )


def narrow(config: Config) -> Config:
    """Return networks of the size that small data asks for."""
    widths = ("basal_encoder_n_hidden", "embedding_encoder_n_hidden", "decoder_n_hidden")
    model = dataclasses.replace(config.model, n_latent=20, **dict.fromkeys(widths, 64))
    return dataclasses.replace(config, model=model)


def measure(shape: shapes.Shape, asked: argparse.Namespace) -> dict[str, Any]:
    """Run an epoch of all seeds at once and one of each in turn."""
    config, sizes = program.configured(shape, precision=asked.precision)
    config = narrow(config) if shape is SMALL else config
    train, validation = simulated(shape, round(shape.cells * 0.64), round(shape.cells * 0.16))
    tables = {name: table(sizes) for name in ("train", "test")}
    epoch = partial(run_epoch, config=compiled_part(config), sizes=sizes)
    start = partial(init_state, config=config, sizes=sizes)
    at_once = jax.vmap(start)(jnp.arange(asked.seeds, dtype=jnp.uint32))
    singles = [start(seed) for seed in range(asked.seeds)]
    data = (train, validation, tables)

    begin = time.perf_counter()
    single = jax.jit(epoch).lower(singles[0], *data).compile()
    compiled = time.perf_counter()
    several = jax.jit(jax.vmap(epoch, in_axes=(0, None, None, None)))
    several = several.lower(at_once, *data).compile()
    compile_s = {"one": compiled - begin, "all": time.perf_counter() - compiled}

    seconds: dict[str, list[float]] = {"at_once": [], "one_by_one": []}
    for number in range(asked.rounds + 1):  # the first is not counted
        begin = time.perf_counter()
        at_once, _ = jax.block_until_ready(several(at_once, *data))
        between = time.perf_counter()
        singles = [jax.block_until_ready(single(state, *data)[0]) for state in singles]
        if number:
            seconds["at_once"].append(between - begin)
            seconds["one_by_one"].append(time.perf_counter() - between)
    summaries = {f"{name}_s": alternating.summary(values) for name, values in seconds.items()}
    return {
        "shape": shape.name,
        "seeds": asked.seeds,
        "device": asked.device,
        "device_kind": jax.devices()[0].device_kind,
        "precision": asked.precision,
        "genes": shape.genes,
        "treatments": shape.treatments,
        "train_cells": len(train.cells.weight),
        "batch_size": config.train.batch_size,
        **summaries,
        "times_faster": alternating.ratio(summaries["one_by_one_s"], summaries["at_once_s"]),
        "largest_difference_of_losses": largest_difference(at_once, singles),
        "compile_s": {name: round(s, 2) for name, s in compile_s.items()},
        "peak_gib": round(memory.peak_gib(), 3),
        "device_peak_gib": memory.device_peak_gib(jax.devices()[0]),
    }


def largest_difference(at_once: TrainState, singles: list[TrainState]) -> float:
    """Return how far the best validation losses of both ways lie apart, relatively."""
    ours = np.asarray(at_once.best_loss, np.float64)
    alone = np.array([float(state.best_loss) for state in singles])
    return alternating.significant(float(np.abs(ours / alone - 1).max()), 2)


if __name__ == "__main__":
    main()
