"""Train on the arrays of a recorded run of the PyTorch original and show both side by side.

    python benchmarks/reference_run.py FOLDER [--seeds 0 1 2]

FOLDER holds schraivogel_prepared.npz (the arrays) and schraivogel.json (what the original reached).
Takes about four minutes a seed on two idle CPU cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np

from gpo_vae_jax import data
from gpo_vae_jax.config import Config, ModelConfig, TrainConfig
from gpo_vae_jax.evaluate.predictive_bound import predictive_iwelbo_of_split
from gpo_vae_jax.runs import fit
from gpo_vae_jax.types import Dataset

ARRAYS = "schraivogel_prepared.npz"
CONFIG = Config(name="reference", model=ModelConfig(n_latent=50), train=TrainConfig(max_epochs=150))


def recorded_dataset(path: Path) -> Dataset:
    """Read the arrays that the original was trained on."""
    with np.load(path, allow_pickle=False) as z:
        return data.from_arrays(
            counts=z["X"],
            dosage=z["D"],
            qc_fail=z["qc"],
            counterfactual=z["cfX"],
            delta=z["deltaX"],
            split=z["split"],
            treatments=list(z["T"]),
            n_perturbed=int(z["n_perturbed"]),
            genes=list(z["var"]),
            controls=z["gene"] == "non-targeting",
        )


def main() -> None:
    """Train each seed and print it beside the recorded runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    dataset = recorded_dataset(args.folder / ARRAYS)
    recorded = json.loads((args.folder / "schraivogel.json").read_text())["runs"]
    print(f"{'':10}{'seed':>5}{'best validation loss':>22}{'predictive IWELBO':>20}")
    for run in recorded:
        print(f"{'original':10}{run['seed']:5}{run['best_val']:22.4f}{run['iwelbo']:20.4f}")
    for seed in args.seeds:
        config = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, seed=seed))
        with tempfile.TemporaryDirectory() as folder:
            run = fit(dataset, config, Path(folder) / "run")
        score = predictive_iwelbo_of_split(
            run.params, dataset.splits["test"], config=config.model, sizes=dataset.sizes, seed=seed
        )
        print(f"{'ours':10}{seed:5}{run.best_loss:22.4f}{score.mean():20.4f}", flush=True)


if __name__ == "__main__":
    main()
