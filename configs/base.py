"""What the published data sets share (docs/method.md 6, 7); the preset `published`."""

from gpo_vae_jax import presets
from gpo_vae_jax.config_io import to_config_dict
from gpo_vae_jax.presets import REPLOGLE_SUMMARY, published

__all__ = ["REPLOGLE_SUMMARY", "get_config", "published"]


def get_config():
    """Return the preset `published`."""
    return to_config_dict(presets.published())
