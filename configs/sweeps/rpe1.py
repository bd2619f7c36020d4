r"""The paper's five seeds on RPE1 (Replogle 2022).

    gpo-vae sweep --config=configs/sweeps/rpe1.py --data.path=rpe1.h5ad \
        --workdir=runs/rpe1_seeds --evaluate

On a GPU all seeds are trained at once, on one copy of the data. Further settings join the grid on
the command line: --grid objective.penalty_coeff=1,5,10.
"""

from gpo_vae_jax import presets
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return the preset `rpe1`."""
    return to_config_dict(presets.rpe1())


def get_sweep():
    """Return the grid: seeds 0 to 4."""
    return {"train.seed": (0, 1, 2, 3, 4)}
