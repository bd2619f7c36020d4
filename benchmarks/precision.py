r"""Measure what rounding the factors of matrix products does to the loss and to what is learned.

    python benchmarks/precision.py --quick     (tiny, a minute)
    python benchmarks/precision.py     (the demo's data, three seeds, five minutes on two cores)
    python benchmarks/precision.py --recorded FOLDER --seeds 1 --epochs 150     (ten minutes)

Trains with `train.precision` float32, tf32 and bf16 on simulated cells whose network is known, or
on the arrays of a recorded run (FOLDER as in benchmarks/reference_run.py). On a CPU, which
multiplies in float32, benchmarks/rounded.py rounds the factors; a GPU does so itself (--device
cuda). Evaluation multiplies in float32 always. The result is printed and, but for
--quick, goes into benchmarks/results/precision.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import alternating, reference_run, results_file  # noqa: E402
from benchmarks import jax_program as program  # noqa: E402
from benchmarks.rounded import rounded  # noqa: E402
from configs import demo  # noqa: E402
from gpo_vae_jax import data  # noqa: E402
from gpo_vae_jax.config import Config, compiled_part  # noqa: E402
from gpo_vae_jax.config_io import from_config_dict  # noqa: E402
from gpo_vae_jax.evaluate.network.edges import edge_probabilities  # noqa: E402
from gpo_vae_jax.evaluate.network.recovery import recovery  # noqa: E402
from gpo_vae_jax.evaluate.predictive_bound import predictive_iwelbo_of_split  # noqa: E402
from gpo_vae_jax.train import init_state, run_epoch  # noqa: E402
from gpo_vae_jax.types import Dataset, Params  # noqa: E402


def main() -> None:
    """Train at each precision and write down what came out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    results_file.add_options(parser)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--device", choices=program.DEVICES, default="cpu")
    parser.add_argument("--recorded", type=Path, help="folder of a recorded run's arrays")
    asked = parser.parse_args()
    config = from_config_dict(demo.get_config())
    if asked.quick:
        asked.seeds, asked.epochs = 1, 2
        small = dataclasses.replace(config.simulate, n_cells=600, n_genes=40)
        config = dataclasses.replace(config, simulate=small)
    program.use_device(asked.device)
    if asked.recorded:
        config = reference_run.CONFIG
        dataset = reference_run.recorded_dataset(asked.recorded / reference_run.ARRAYS)
    else:
        dataset = data.from_config(config)
    runs = {
        precision: trained(dataset, config, precision, asked) for precision in program.PRECISIONS
    }
    for precision in program.PRECISIONS:
        entry = {
            "data": config.name,
            "device": asked.device,
            "rounded_by": "hardware" if asked.device == "cuda" else "benchmarks/rounded.py",
            "precision": precision,
            "seeds": asked.seeds,
            "epochs": asked.epochs,
            **compared(runs[precision], runs["float32"]),
        }
        key = ("data", "device", "precision")
        results_file.add(results_file.folder_of(asked), "precision", entry, key)


def trained(
    dataset: Dataset, config: Config, precision: str, asked: argparse.Namespace
) -> list[dict[str, Any]]:
    """Train each seed for a number of epochs, by one program, and evaluate the best parameters."""
    train = dataclasses.replace(config.train, precision=precision)
    config, sizes = dataclasses.replace(config, train=train), dataset.sizes
    epoch = partial(run_epoch, config=compiled_part(config), sizes=sizes)
    epoch = jax.jit(rounded(epoch) if asked.device == "cpu" else epoch)
    given = jax.device_put((dataset.splits["train"], dataset.splits["val"]))
    tables = {name: jnp.asarray(table, jnp.float32) for name, table in dataset.tables.items()}
    runs = []
    for seed in range(asked.seeds):
        state = jax.device_put(init_state(seed, config=config, sizes=sizes))
        state, first = epoch(state, *given, tables)
        for _ in range(asked.epochs - 1):
            state, _ = epoch(state, *given, tables)
        of_first = {name: float(values[0]) for name, values in first.steps.items()}
        runs.append(
            {
                "first_loss": of_first["loss"],
                "first_gradient_norm": of_first["gradient_norm"],
                "best_validation_loss": float(state.best_loss),
                **evaluated(state.best_params, dataset, config, seed),
            }
        )
    return runs


def evaluated(params: Params, dataset: Dataset, config: Config, seed: int) -> dict[str, Any]:
    """Score the test cells, and compare the network with the true one where it is known."""
    model, sizes, truth = config.model, dataset.sizes, dataset.true_network
    scores = predictive_iwelbo_of_split(
        params, dataset.splits["test"], config=model, sizes=sizes, seed=seed
    )
    probabilities = edge_probabilities(params, model, sizes)
    found = {"iwelbo": float(scores.mean()), "probabilities": probabilities}
    if truth is not None:
        found["auprc"] = recovery(probabilities, truth, dataset.n_perturbed).auprc
    return found


def compared(runs: list[dict[str, Any]], exact: list[dict[str, Any]]) -> dict[str, Any]:
    """Return each number of all seeds, and how far they are from float32's of the same seed."""
    names = [name for name in runs[0] if name != "probabilities"]
    found: dict[str, Any] = {
        name: [alternating.significant(run[name], 7) for run in runs] for name in names
    }
    for name in ("first_loss", "first_gradient_norm", "best_validation_loss", "iwelbo"):
        apart = [abs(run[name] / other[name] - 1) for run, other in zip(runs, exact, strict=True)]
        found[f"{name}_apart"] = alternating.significant(max(apart), 2)
    off_diagonal = ~np.eye(len(runs[0]["probabilities"]), dtype=bool)
    matrices = [
        [np.asarray(r["probabilities"], float)[off_diagonal] for r in pair]
        for pair in zip(runs, exact, strict=True)
    ]
    found["probabilities_correlate"] = alternating.significant(
        min(float(np.corrcoef(a, b)[0, 1]) for a, b in matrices), 5
    )
    found["edges_that_differ"] = max(int(((a > 0.5) != (b > 0.5)).sum()) for a, b in matrices)
    return found


if __name__ == "__main__":
    main()
