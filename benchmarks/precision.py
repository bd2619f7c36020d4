r"""Measure how rounding the factors of matrix products changes the loss and the result.

    python -m benchmarks.precision --quick     (tiny, a minute)
    python -m benchmarks.precision     (the demo's data, three seeds, five minutes on two cores)
    python -m benchmarks.precision --recorded FOLDER --seeds 1 --epochs 150     (ten minutes)

Trains with `train.precision` float32, tf32 and bf16 on simulated cells with a known network, or on
the arrays of a recorded run (FOLDER as in benchmarks/inputs/reference.py). A GPU rounds by itself
(--device cuda); on a CPU, which multiplies in float32, benchmarks/programs/rounded.py rounds the
factors. Evaluation always multiplies in float32. The result is printed. Without --quick it also
goes into benchmarks/results/precision.json.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.inputs import reference
from benchmarks.measuring import options, results_file
from benchmarks.measuring.summary import significant
from benchmarks.programs import jax_program as program
from benchmarks.programs.rounded import rounded
from gpo_vae_jax import data, presets
from gpo_vae_jax.config import Config
from gpo_vae_jax.evaluate.network.edges import edge_probabilities
from gpo_vae_jax.evaluate.network.recovery import recovery
from gpo_vae_jax.evaluate.predictive_bound import predictive_iwelbo_of_split
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import init_state, run_epoch
from gpo_vae_jax.types import Dataset, Params


def main(arguments: Sequence[str] | None = None) -> None:
    """Train at each precision, and keep the results."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    options.add_device(parser, precision=False)
    parser.add_argument("--recorded", type=Path, help="folder of a recorded run's arrays")
    args = options.parsed(parser, arguments)
    config = presets.demo()
    if args.quick:
        args.seeds, args.epochs = 1, 2
        config = small(config)
    program.use_device(args.device)
    if args.recorded:
        config, dataset = reference.CONFIG, reference.dataset(args.recorded)
    else:
        dataset = data.from_config(config)
    runs = {
        precision: trained(dataset, config, precision, args) for precision in options.PRECISIONS
    }
    for precision in options.PRECISIONS:
        entry = {
            "data": config.name,
            "device": args.device,
            "rounded_by": "hardware" if args.device == "cuda" else "programs/rounded.py",
            "precision": precision,
            "seeds": args.seeds,
            "epochs": args.epochs,
            **compared(runs[precision], runs["float32"]),
        }
        key = ("data", "device", "precision")
        results_file.add(results_file.folder_of(args), "precision", entry, key)


def small(config: Config) -> Config:
    """Return the settings with fewer cells and genes."""
    simulate = dataclasses.replace(config.simulate, n_cells=600, n_genes=40)
    return dataclasses.replace(config, simulate=simulate)


def trained(
    dataset: Dataset, config: Config, precision: str, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Train each seed for a number of epochs, and evaluate its best parameters."""
    train = dataclasses.replace(config.train, precision=precision)
    spec = Spec.of(dataclasses.replace(config, train=train), dataset.sizes)
    epoch = partial(run_epoch, spec=spec)
    if args.device == "cpu" and precision != "float32":
        epoch = jax.jit(rounded(epoch))
    splits = jax.device_put((dataset.splits["train"], dataset.splits["val"]))
    tables = {name: jnp.asarray(table, jnp.float32) for name, table in dataset.tables.items()}
    runs = []
    for seed in range(args.seeds):
        state = jax.device_put(init_state(seed, spec=spec))
        state, first = epoch(state, *splits, tables)
        for _ in range(args.epochs - 1):
            state, _ = epoch(state, *splits, tables)
        of_first = {name: float(values[0]) for name, values in first.steps.items()}
        runs.append(
            {
                "first_loss": of_first["loss"],
                "first_gradient_norm": of_first["gradient_norm"],
                "best_validation_loss": float(state.best_loss),
                **evaluated(state.best_params, dataset, spec, seed),
            }
        )
    return runs


def evaluated(params: Params, dataset: Dataset, spec: Spec, seed: int) -> dict[str, Any]:
    """Score the test cells, and compare the network with the true one where it is known."""
    scores = predictive_iwelbo_of_split(params, dataset.splits["test"], spec=spec, seed=seed)
    probabilities = edge_probabilities(params, spec=spec)
    found = {"iwelbo": float(scores.mean()), "probabilities": probabilities}
    if dataset.true_network is not None:
        found["auprc"] = recovery(probabilities, dataset.true_network, dataset.n_perturbed).auprc
    return found


def compared(runs: list[dict[str, Any]], exact: list[dict[str, Any]]) -> dict[str, Any]:
    """Return each number of all seeds, and the largest difference from float32 of the same seed."""
    names = [name for name in runs[0] if name != "probabilities"]
    found: dict[str, Any] = {name: [significant(run[name], 7) for run in runs] for name in names}
    for name in ("first_loss", "first_gradient_norm", "best_validation_loss", "iwelbo"):
        apart = [abs(run[name] / other[name] - 1) for run, other in zip(runs, exact, strict=True)]
        found[f"{name}_apart"] = significant(max(apart), 2)
    off_diagonal = ~np.eye(len(runs[0]["probabilities"]), dtype=bool)
    matrices = [
        [np.asarray(r["probabilities"], float)[off_diagonal] for r in pair]
        for pair in zip(runs, exact, strict=True)
    ]
    found["probabilities_correlate"] = significant(
        min(float(np.corrcoef(a, b)[0, 1]) for a, b in matrices), 5
    )
    found["edges_that_differ"] = max(int(((a > 0.5) != (b > 0.5)).sum()) for a, b in matrices)
    return found


if __name__ == "__main__":
    main()
