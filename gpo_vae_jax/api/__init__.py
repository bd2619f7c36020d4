"""The public face: every step from raw counts to a network, in memory.

A prepared data set may be given as the AnnData that `prepare` returns, as the path of a prepared
h5ad file, or as the `Dataset` that `dataset` makes of either. Only `save`, `load` and `report`
touch folders.
"""

from gpo_vae_jax import presets
from gpo_vae_jax.api.findings import compare, evaluate, network, predict, predict_test_cells, report
from gpo_vae_jax.api.fitting import train
from gpo_vae_jax.api.inputs import dataset, prepare, simulate
from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import ConfigError, DataError, TrainingError
from gpo_vae_jax.evaluate.results import Evaluation
from gpo_vae_jax.model.trained import Trained
from gpo_vae_jax.runs.saved import load, save
from gpo_vae_jax.types import Dataset

__all__ = [
    "Config",
    "ConfigError",
    "DataError",
    "Dataset",
    "Evaluation",
    "Trained",
    "TrainingError",
    "compare",
    "dataset",
    "evaluate",
    "load",
    "network",
    "predict",
    "predict_test_cells",
    "prepare",
    "presets",
    "report",
    "save",
    "simulate",
    "train",
]
