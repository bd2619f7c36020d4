"""Train on K562 (Adamson 2016): 46,236 cells, 68 + 347 treatments.

    gpo-vae download adamson
    gpo-vae prepare --config=configs/adamson.py --input=RAW.h5ad --output=adamson.h5ad
    gpo-vae train --config=configs/adamson.py --data.path=adamson.h5ad --workdir=runs/adamson

Expected time: preparation at RPE1 size takes 5 minutes and 6.6 GiB on two CPU cores
(benchmarks/results/prepare.json, simulated cells); train on a GPU.
Expected result, as published: edges 11, ATE r .864 on all cells, mean Wasserstein .159.
"""

from gpo_vae_jax import presets
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return the preset `adamson`."""
    return to_config_dict(presets.adamson())
