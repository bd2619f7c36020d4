r"""The paper's five seeds on K562 (Adamson 2016).

    gpo-vae sweep --config=configs/sweeps/adamson.py --data.path=adamson.h5ad \
        --workdir=runs/adamson_seeds --evaluate

On a GPU all seeds are trained at once, on one copy of the data. Further settings join the grid on
the command line: --grid objective.penalty_coeff=1,5,10.
"""

from gpo_vae_jax import presets
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return the preset `adamson`."""
    return to_config_dict(presets.adamson())


def get_sweep():
    """Return the grid: seeds 0 to 4."""
    return {"train.seed": (0, 1, 2, 3, 4)}
