"""A finished run with its data."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from gpo_vae_jax import data
from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.predict.sampling import Trained
from gpo_vae_jax.runs.fit import load_best
from gpo_vae_jax.runs.run_folder import fingerprint
from gpo_vae_jax.types import Dataset, Sizes


class OpenedRun(NamedTuple):
    """Hold a run: its best parameters, its data, its settings and its description (run.json)."""

    trained: Trained
    dataset: Dataset
    config: Config
    description: dict[str, Any]


def open_run(workdir: str | Path, data_path: str = "") -> OpenedRun:
    """Read a run and the data that it was trained on.

    Args:
      data_path: where the prepared file is now, if it was moved.

    Raises:
      TrainingError: the folder holds no finished checkpoint.
      DataError: the data is missing, or is other data than the run was trained on.
    """
    params, config, description = load_best(workdir)
    if data_path:
        config = dataclasses.replace(
            config, data=dataclasses.replace(config.data, path=data_path, simulated=False)
        )
    dataset = data.from_config(config)
    if fingerprint(dataset) != description["data"]["fingerprint"]:
        raise DataError(
            f"{workdir} was trained on other data than {config.data.path or 'is simulated now'}; "
            "name the prepared file it was trained on"
        )
    trained = Trained(params, config.model, Sizes(**description["sizes"]))
    return OpenedRun(trained, dataset, config, description)
