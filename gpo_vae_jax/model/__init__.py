"""The model: pure functions and linen modules of (params, batch, noise)."""

from gpo_vae_jax.model.gpo_vae import GPOVAE, bind, init_params, n_parameters
from gpo_vae_jax.model.noise import sample_noise, sample_shared_noise

__all__ = ["GPOVAE", "bind", "init_params", "n_parameters", "sample_noise", "sample_shared_noise"]
