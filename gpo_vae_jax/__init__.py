"""GPO-VAE in JAX: predict CRISPR perturbation responses and infer the gene regulatory network."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpo_vae_jax import presets
    from gpo_vae_jax.api import (
        compare,
        dataset,
        evaluate,
        load,
        network,
        predict,
        predict_test_cells,
        prepare,
        report,
        save,
        simulate,
        train,
    )
    from gpo_vae_jax.config import Config
    from gpo_vae_jax.errors import ConfigError, DataError, TrainingError
    from gpo_vae_jax.evaluate.results import Evaluation
    from gpo_vae_jax.model.trained import Trained
    from gpo_vae_jax.types import Dataset

__version__ = "0.1.0"
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


def __getattr__(name: str) -> Any:
    """Import the public face when it is first used: the command line starts without it."""
    if name == "presets":  # light: without jax
        return importlib.import_module("gpo_vae_jax.presets")
    if name in __all__:
        return getattr(importlib.import_module("gpo_vae_jax.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Package(ModuleType):
    """Keeps `train`, `evaluate` and `predict` functions when the rooms of these names are imported.

    Importing a submodule binds it as an attribute of its package; here the public face comes first.
    `from gpo_vae_jax.train import ...` is not affected.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in ("train", "evaluate", "predict")):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
