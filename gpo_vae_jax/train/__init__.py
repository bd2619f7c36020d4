"""Training: optimiser, pure step and epoch, and the loop on the host."""

from gpo_vae_jax.train.epoch import run_epoch, run_steps
from gpo_vae_jax.train.fit import FitResult, fit, load_best
from gpo_vae_jax.train.state import TrainState, init_state
from gpo_vae_jax.train.step import StepState, train_step

__all__ = [
    "FitResult",
    "StepState",
    "TrainState",
    "fit",
    "init_state",
    "load_best",
    "run_epoch",
    "run_steps",
    "train_step",
]
