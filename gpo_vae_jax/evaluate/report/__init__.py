"""The report of an evaluation, for people."""

from gpo_vae_jax.evaluate.report.page import write_report

__all__ = ["write_report"]
