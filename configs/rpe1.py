"""Train on RPE1 (Replogle 2022): 91,891 cells, 383 + 272 treatments, 8,749 genes.

    gpo-vae download rpe1 summary_stats
    gpo-vae prepare --config=configs/rpe1.py --input=RAW.h5ad --output=rpe1.h5ad
    gpo-vae train --config=configs/rpe1.py --data.path=rpe1.h5ad --workdir=runs/rpe1

The model has 8,783,233 parameters.
Expected time: preparation at this size takes 5 minutes and 6.6 GiB on two CPU cores
(benchmarks/results/prepare.json, simulated cells); train on a GPU.
Expected result, as published: edges 2,211, ATE r .651 on all cells, mean Wasserstein .280.
"""

from gpo_vae_jax import presets
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return the preset `rpe1`."""
    return to_config_dict(presets.rpe1())
