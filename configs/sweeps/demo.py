"""Two values of two settings, with three seeds each, on simulated cells.

gpo-vae sweep --config=configs/sweeps/demo.py --workdir=runs/sweep_demo

Twelve trainings of 20 epochs each.
"""

from gpo_vae_jax import presets
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return the preset `demo`, with 20 epochs."""
    config = to_config_dict(presets.demo())
    config.train.max_epochs = 20
    return config


def get_sweep():
    """Return the grid: 2 x 2 settings, 3 seeds."""
    return {
        "objective.invariance_coeff": (1.0, 3.0),
        "train.learning_rate": (2e-3, 5e-3),
        "train.seed": (0, 1, 2),
    }
