"""Run folders: the only room that keeps a training, an evaluation or a prediction on disk."""

from gpo_vae_jax.runs.evaluated import evaluate_run
from gpo_vae_jax.runs.export import export_network
from gpo_vae_jax.runs.fit import fit
from gpo_vae_jax.runs.predicted import predict_to_file
from gpo_vae_jax.runs.saved import load, load_with_data, save

__all__ = [
    "evaluate_run",
    "export_network",
    "fit",
    "load",
    "load_with_data",
    "predict_to_file",
    "save",
]
