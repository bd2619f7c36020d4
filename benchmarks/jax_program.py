"""What the benchmarks run of this package: simulated cells as a split, and steps as a scan."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import cells as simulated  # noqa: E402
from benchmarks import results_file, shapes  # noqa: E402
from benchmarks.shapes import Shape  # noqa: E402
from gpo_vae_jax.config import Config  # noqa: E402
from gpo_vae_jax.train import StepState, init_state, run_steps  # noqa: E402
from gpo_vae_jax.train.present import rows_of_batches  # noqa: E402
from gpo_vae_jax.train.program import give_memory_back  # noqa: E402
from gpo_vae_jax.types import (  # noqa: E402
    Array,
    Batch,
    Context,
    InputStatistics,
    Metrics,
    Sizes,
    Split,
)

PRECISIONS = ("float32", "tf32", "bf16")
DEVICES = ("cpu", "cuda")


def use_device(name: str) -> None:
    """Run on the processor or on the GPU; call it before anything is computed.

    On a GPU memory is then taken as needed: programs share it, and its peak says something.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    jax.config.update("jax_platforms", {"cpu": "cpu", "cuda": "cuda,cpu"}[name])


def add_run_options(parser: argparse.ArgumentParser, rounds: int) -> None:
    """Let the command line choose shape, rounds, device, precision and where results go."""
    results_file.add_options(parser)
    parser.add_argument("--shape", choices=shapes.SHAPES, default="rpe1")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the options of `add_run_options`, make --quick tiny, and choose the device."""
    asked = parser.parse_args()
    if asked.quick:
        asked.shape, asked.rounds = "tiny", min(asked.rounds, 2)
    use_device(asked.device)
    return asked


def add_shape_options(parser: argparse.ArgumentParser, default: str = "rpe1") -> None:
    """Let the command line choose a shape and change it."""
    parser.add_argument("--shape", choices=shapes.SHAPES, default=default)
    parser.add_argument("--genes", type=int, help="another number of genes")
    parser.add_argument("--treatments", type=int, help="another number of treatments")
    parser.add_argument("--perturbed", type=int, help="how many of them are perturbed")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--particles", type=int)


def chosen_shape(asked: argparse.Namespace) -> Shape:
    """Return the shape that the command line asks for."""
    return shapes.scaled(
        shapes.SHAPES[asked.shape],
        genes=asked.genes,
        treatments=asked.treatments,
        perturbed=asked.perturbed,
    )


def configured(
    shape: Shape,
    batch_size: int | None = None,
    n_particles: int | None = None,
    precision: str = "float32",
) -> tuple[Config, Sizes]:
    """Return settings and sizes of a shape, with the precision of products asked for."""
    config, sizes = shapes.configuration(shape, batch_size, n_particles)
    train = dataclasses.replace(config.train, precision=precision)
    return dataclasses.replace(config, train=train), sizes


def split_of(shape: Shape, n_cells: int, seed: int = 0) -> Split:
    """Simulate the cells of a split, in host memory."""
    made = simulated.cells(shape, n_cells, seed)
    perturbation, qc_fail = made["perturbation"], made["qc_fail"]
    treated = perturbation >= 0
    found = simulated.statistics(made["counts"][:2048])
    return Split(
        cells=Batch(
            counts=made["counts"],
            library_size=made["library_size"],
            perturbation=np.maximum(perturbation, 0)[:, None],
            dosage=treated[:, None].astype(np.float32),
            qc_fail=qc_fail,
            counterfactual=made["counterfactual"],
            delta=made["delta"].astype(np.float32),
            weight=np.ones(n_cells, np.float32),
        ),
        context=Context(
            statistics=InputStatistics(
                mean=found["x_mean"],
                std=found["x_std"],
                log_mean=found["log_x_mean"],
                log_std=found["log_x_std"],
            ),
            treatment_cells=np.bincount(perturbation[treated], minlength=shape.treatments).astype(
                np.float32
            ),
            quality_cells=qc_fail.sum(0).astype(np.float32),
            measured=np.ones(shape.treatments, np.float32),
        ),
    )


def take(cells: Batch, rows: Array) -> Batch:
    """Gather rows, as an epoch does for each batch."""
    return jax.tree.map(lambda values: jnp.take(values, rows, axis=0, mode="clip"), cells)


def scan_steps(
    current: StepState, split: Split, rows: Array, first: Array, **static: Any
) -> tuple[StepState, Metrics]:
    """Take one step for each row of `rows`, [k, B], as an epoch does: gather, draw, update.

    Args:
      first: number of the first step; the noise of a step follows its number.
    """
    filled = jnp.ones(rows.shape, bool)
    return run_steps(current, split, rows, filled, jnp.uint32(0), first, **static)


def compiled_steps(
    current: StepState, split: Split, k: int, batch_size: int, *, config: Config, sizes: Sizes
) -> Any:
    """Compile `scan_steps` for k steps; the state given to it is used up."""
    n_rows = rows_of_batches(split, batch_size, sizes.n_perturbed)
    static = {"config": config, "sizes": sizes, "n_rows": n_rows}
    program = jax.jit(partial(scan_steps, **static), donate_argnums=0)
    rows = jax.ShapeDtypeStruct((k, batch_size), jnp.int32)
    first = jax.ShapeDtypeStruct((), jnp.int32)
    compiled = program.lower(current, split, rows, first).compile()
    give_memory_back()  # as training does
    return compiled


def fresh(config: Config, sizes: Sizes, seed: int = 0) -> StepState:
    """Return parameters and optimiser before the first step, on the device."""
    return jax.device_put(init_state(seed, config=config, sizes=sizes).current, jax.devices()[0])


def temporary_gib(compiled: Any) -> dict[str, float] | None:
    """Return what the compiler says a program needs besides its arguments, in GiB, if it says."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        return None
    return {
        "temporary_gib": round(analysis.temp_size_in_bytes / 2**30, 3),
        "arguments_gib": round(analysis.argument_size_in_bytes / 2**30, 3),
    }


def n_bytes(tree: Any) -> int:
    """Count the bytes of all arrays."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
