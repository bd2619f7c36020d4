r"""Train on K562 essential (Replogle 2022): 129,478 cells, 622 + 924 treatments, 8,563 genes.

    gpo-vae download replogle summary_stats
    gpo-vae prepare --config=configs/replogle.py --input=RAW.h5ad --output=replogle.h5ad
    gpo-vae train --config=configs/replogle.py --data.path=replogle.h5ad \
        --workdir=runs/replogle

The model has 12,333,934 parameters.
Expected time: preparation at RPE1 size takes 5 minutes and 6.6 GiB on two CPU cores
(benchmarks/results/prepare.json, simulated cells); train on a GPU.
Expected result, as published: edges 2,888, ATE r .766 on all cells, mean Wasserstein .248.
"""

from gpo_vae_jax import presets
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return the preset `replogle`."""
    return to_config_dict(presets.replogle())
