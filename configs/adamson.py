r"""Train on K562 (Adamson 2016): 46,236 cells, 68 + 347 treatments.

    python scripts/prepare.py --config=configs/adamson.py --input RAW.h5ad --output adamson.h5ad
    python scripts/train.py --config=configs/adamson.py --config.data.path=adamson.h5ad \
        --workdir=runs/adamson

Expected time: preparation at RPE1 size takes 5 minutes and 6.6 GiB on two CPU cores
(benchmarks/results/prepare.json, simulated cells); training belongs on a GPU.
Expected result, as published: edges 11, ATE r .864 on all cells, mean Wasserstein .159.
"""

import dataclasses

from configs import base
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return the published settings."""
    shared = base.published()
    model = dataclasses.replace(shared.model, n_latent=100, basal_encoder_n_hidden=400)
    objective = dataclasses.replace(shared.objective, fc_criteria=0.4, penalty_coeff=1.0)
    config = dataclasses.replace(
        shared,
        name="adamson",
        prepare=dataclasses.replace(
            shared.prepare,
            strong_table="data/adamson_summary_stats.csv",
            strong_names="whole",  # a gene id
            extended_genes="both",
        ),
        model=model,
        objective=objective,
    )
    return to_config_dict(config)
