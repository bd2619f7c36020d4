"""Steps and epochs of whichever version of the package is on the path: a worker.

Its command line, in a folder that benchmarks/against.py writes:

    PYTHONPATH=CHECKOUT python -P any_version.py FOLDER

It imports nothing from this folder, because a checkout has a `benchmarks` of its own. Both versions
read the same cells and settings, so that the same seed reaches the same loss.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import jax
import jax.numpy as jnp
import numpy as np

import gpo_vae_jax
from gpo_vae_jax import config as configs
from gpo_vae_jax.train import init_state, run_epoch, run_steps
from gpo_vae_jax.train.present import rows_of_batches
from gpo_vae_jax.train.program import give_memory_back
from gpo_vae_jax.types import Batch, Context, InputStatistics, Sizes, Split


class Runner:
    """Data, state and compiled programs of one version."""

    def __init__(self, folder: Path):
        """Read inputs, compile, and run each program once."""
        settings = json.loads((folder / "settings.json").read_text())
        self.k, size, sizes = (
            settings["steps"],
            settings["train"]["batch_size"],
            Sizes(**settings["sizes"]),
        )
        self.static = static_arguments(config_of(settings), sizes)
        arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
        both = split_of(arrays, sizes)
        train, validation = (
            jax.device_put(Split(jax.tree.map(lambda a, at=at: a[at], both.cells), both.context))
            for at in (slice(settings["n_train"]), slice(settings["n_train"], None))
        )
        self.static["n_rows"] = rows_of_batches(train, size, sizes.n_perturbed)
        self.data = (train, validation, tables(sizes))
        self.rows = jnp.arange(self.k * size, dtype=jnp.int32).reshape(self.k, size)
        self.rows %= settings["n_train"]

        static = {k: v for k, v in self.static.items() if k != "n_rows"}
        self.of_epoch = jax.device_put(init_state(0, **static))
        self.of_steps = jax.tree.map(jnp.copy, self.of_epoch.current)
        start = time.perf_counter()
        self.epoch = run_epoch.lower(*kinds((self.of_epoch, *self.data)), **self.static).compile()
        compiled = time.perf_counter()
        steps = jax.jit(partial(scan_steps, **self.static), donate_argnums=0)
        arguments = (self.of_steps, train, self.rows, jnp.int32(0))
        self.steps = steps.lower(*kinds(arguments)).compile()
        give_memory_back()
        self.ready = {
            "package": str(Path(gpo_vae_jax.__file__).resolve().parent),
            "device_kind": jax.devices()[0].device_kind,
            "compile_s": {
                "epoch": round(compiled - start, 2),
                "step": round(time.perf_counter() - compiled, 2),
            },
        }
        for what in ("step", "epoch"):  # warm up
            self.run(what)

    def run(self, what: str) -> dict[str, Any]:
        """Run an epoch, or k steps; return the seconds of one, and the last loss."""
        start = time.perf_counter()
        if what == "epoch":
            self.of_epoch, report = jax.block_until_ready(self.epoch(self.of_epoch, *self.data))
            seconds, loss = time.perf_counter() - start, report.validation["loss"]
        else:
            arguments = (self.of_steps, self.data[0], self.rows, jnp.int32(0))
            self.of_steps, parts = jax.block_until_ready(self.steps(*arguments))
            seconds, loss = (time.perf_counter() - start) / self.k, parts["loss"][-1]
        return {"seconds": [seconds], "loss": float(loss)}


def config_of(settings: dict[str, Any]) -> configs.Config:
    """Build the settings that this version knows, and leave out the others."""

    def build(kind: Any, values: dict[str, Any]) -> Any:
        names = {field.name for field in dataclasses.fields(kind)}
        return kind(**{name: value for name, value in values.items() if name in names})

    objective = {k: v for k, v in settings["objective"].items() if k != "reweight"}
    return configs.Config(
        model=build(configs.ModelConfig, settings["model"]),
        objective=build(configs.ObjectiveConfig, objective),
        train=build(configs.TrainConfig, settings["train"]),
    )


def static_arguments(config: configs.Config, sizes: Sizes) -> dict[str, Any]:
    """Return the static arguments of this version's programs: a Spec, or the older pair."""
    if "spec" in inspect.signature(run_epoch).parameters:
        from gpo_vae_jax.spec import Spec

        return {"spec": Spec.of(config, sizes)}
    return {"config": configs.compiled_part(config), "sizes": sizes}


def kinds(tree: Any) -> Any:
    """Return the shapes and types of arrays."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), tree)


def scan_steps(current: Any, split: Split, rows: Any, first: Any, **static: Any) -> Any:
    """Take a step on each row of `rows`, [k, B], as programs/jax_program.py does."""
    filled = jnp.ones(rows.shape, bool)
    return run_steps(current, split, rows, filled, jnp.uint32(0), first, **static)


def split_of(arrays: dict[str, np.ndarray], sizes: Sizes) -> Split:
    """Return all cells, training cells first, with the context of the training cells."""
    perturbation, qc_fail = arrays["perturbation"], arrays["qc_fail"]
    treated = perturbation >= 0
    n_cells = np.bincount(perturbation[treated], minlength=sizes.n_treatments)
    return Split(
        Batch(
            counts=arrays["counts"],
            library_size=arrays["library_size"],
            perturbation=np.maximum(perturbation, 0)[:, None],
            dosage=treated[:, None].astype(np.float32),
            qc_fail=qc_fail,
            counterfactual=arrays["counterfactual"],
            delta=arrays["delta"],
            weight=np.ones(len(qc_fail), np.float32),
        ),
        Context(
            statistics=InputStatistics(
                *(arrays[name] for name in ("x_mean", "x_std", "log_x_mean", "log_x_std"))
            ),
            treatment_cells=n_cells.astype(np.float32),
            quality_cells=qc_fail.sum(0).astype(np.float32),
            measured=np.ones(sizes.n_treatments, np.float32),
        ),
    )


def tables(sizes: Sizes) -> dict[str, jax.Array]:
    """Return random Wasserstein distances [R, T] for the network monitors."""
    table = np.random.default_rng(0).random((sizes.n_perturbed, sizes.n_treatments))
    return {name: jnp.asarray(table, jnp.float32) for name in ("train", "test")}


def main() -> None:
    """Read inputs and compile, then serve requests."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anything else prints goes to stderr
    serve(Runner(Path(sys.argv[1])), sys.stdin, answers)


def serve(runner: Runner, requests: Iterable[str], answers: TextIO) -> None:
    """Answer requests line by line, as benchmarks/workers/alternating.py describes."""
    print(json.dumps({"ready": True, **runner.ready}), file=answers, flush=True)
    for line in requests:
        request = json.loads(line)
        if request.get("stop"):
            break
        print(json.dumps(runner.run(request["what"])), file=answers, flush=True)
    print(json.dumps({}), file=answers, flush=True)


if __name__ == "__main__":
    main()
