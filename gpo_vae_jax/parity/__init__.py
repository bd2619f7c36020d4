"""Comparison with recorded runs of the PyTorch original."""

from gpo_vae_jax.parity.checks import Result, check

__all__ = ["Result", "check"]
