"""The arrays of a recorded run of the PyTorch original, and the settings of that run.

The folder holds schraivogel_prepared.npz (the arrays) and schraivogel.json (the original's scores).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gpo_vae_jax import data
from gpo_vae_jax.config import Config, ModelConfig, TrainConfig
from gpo_vae_jax.types import Dataset

CONFIG = Config(name="reference", model=ModelConfig(n_latent=50), train=TrainConfig(max_epochs=150))


def dataset(folder: Path) -> Dataset:
    """Read the arrays that the original was trained on."""
    with np.load(folder / "schraivogel_prepared.npz", allow_pickle=False) as z:
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


def recorded_runs(folder: Path) -> list[dict[str, Any]]:
    """Return what each run of the original reached: "seed", "best_val" and "iwelbo"."""
    return json.loads((folder / "schraivogel.json").read_text())["runs"]
