"""The package's own programs on simulated cells: a split on the device, steps in one scan."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.inputs import cells as simulated
from benchmarks.inputs.shapes import Shape
from benchmarks.measuring import options
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import StepState, init_state, run_steps
from gpo_vae_jax.train.present import rows_of_batches
from gpo_vae_jax.train.program import give_memory_back
from gpo_vae_jax.types import Array, Batch, Context, InputStatistics, Metrics, Split


def use_device(name: str) -> None:
    """Run on the processor or on the GPU; call it before anything is computed.

    On a GPU, memory is then allocated as needed: programs share it, and its peak means something.

    Raises:
      SystemExit: a GPU is asked for, and jax finds none.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    jax.config.update("jax_platforms", options.PLATFORMS[name])
    if name != "cpu":
        require_gpu()


def require_gpu() -> None:
    """Exit with what is missing where jax would fall back to the processor."""
    try:
        found = jax.default_backend()
    except RuntimeError as error:
        sys.exit(f"no GPU: {str(error).splitlines()[0]}")
    if found != "gpu":
        sys.exit(
            f"no GPU: jax {jax.__version__} would compute on the {found}. Is the driver there "
            "(nvidia-smi), and the extra for its CUDA (make gpu CUDA=cuda12)?"
        )


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


def splits_of(shape: Shape, n_train: int, n_validation: int) -> tuple[Split, Split]:
    """Simulate training and validation cells on the device; the host's copies are freed."""
    both = split_of(shape, n_train + n_validation)
    train = jax.tree.map(lambda a: a[:n_train], both.cells)
    validation = jax.tree.map(lambda a: a[n_train:], both.cells)
    pair = Split(train, both.context), Split(validation, both.context)
    return jax.block_until_ready(jax.device_put(pair, jax.devices()[0]))


def distance_tables(spec: Spec) -> dict[str, Array]:
    """Return random Wasserstein distances [R, T] for the network monitors of an epoch."""
    shape = (spec.sizes.n_perturbed, spec.sizes.n_treatments)
    table = np.random.default_rng(0).random(shape)
    return {name: jnp.asarray(table, jnp.float32) for name in ("train", "test")}


def take(cells: Batch, rows: Array) -> Batch:
    """Gather rows, as an epoch does for each batch."""
    return jax.tree.map(lambda values: jnp.take(values, rows, axis=0, mode="clip"), cells)


def scan_steps(
    current: StepState, split: Split, rows: Array, first: Array, **static: Any
) -> tuple[StepState, Metrics]:
    """Take one step for each row of `rows`, [k, B], as an epoch does: gather, draw, update.

    Args:
      first: number of the first step; the noise of a step depends on its number.
    """
    filled = jnp.ones(rows.shape, bool)
    return run_steps(current, split, rows, filled, jnp.uint32(0), first, **static)


def compiled_steps(current: StepState, split: Split, k: int, batch_size: int, *, spec: Spec) -> Any:
    """Compile `scan_steps` for k steps; a call donates the state passed to it."""
    n_rows = rows_of_batches(split, batch_size, spec.sizes.n_perturbed)
    program = jax.jit(partial(scan_steps, spec=spec, n_rows=n_rows), donate_argnums=0)
    rows = jax.ShapeDtypeStruct((k, batch_size), jnp.int32)
    first = jax.ShapeDtypeStruct((), jnp.int32)
    compiled = program.lower(*kinds((current, split)), rows, first).compile()
    give_memory_back()  # as training does
    return compiled


def kinds(tree: Any) -> Any:
    """Return the shapes and types of arrays: all that a program is compiled for."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), tree)


def initial(spec: Spec, seed: int = 0) -> StepState:
    """Return parameters and optimiser state before the first step, on the device."""
    return jax.device_put(init_state(seed, spec=spec).current, jax.devices()[0])


def temporary_gib(compiled: Any) -> dict[str, float] | None:
    """Return the GiB that a program needs besides its arguments, where the compiler says."""
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
