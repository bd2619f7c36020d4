"""Training: optimiser, pure step and epoch."""

from gpo_vae_jax.train.epoch import run_epoch
from gpo_vae_jax.train.state import TrainState, init_state
from gpo_vae_jax.train.step import StepState, train_step
from gpo_vae_jax.train.steps import run_steps

__all__ = ["StepState", "TrainState", "init_state", "run_epoch", "run_steps", "train_step"]
