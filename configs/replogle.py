r"""Train on K562 essential (Replogle 2022): 129,478 cells, 622 + 924 treatments, 8,563 genes.

    python scripts/prepare.py --config=configs/replogle.py --input RAW.h5ad --output replogle.h5ad
    python scripts/train.py --config=configs/replogle.py --config.data.path=replogle.h5ad \
        --workdir=runs/replogle

The model has 12,333,934 parameters.
Expected time: preparation at RPE1 size takes 5 minutes and 6.6 GiB on two CPU cores
(benchmarks/results/prepare.json, simulated cells); training belongs on a GPU.
Expected result, as published: edges 2,888, ATE r .766 on all cells, mean Wasserstein .248.
"""

import dataclasses

from configs import base
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return the published settings."""
    shared = base.published()
    model = dataclasses.replace(shared.model, n_latent=100, basal_encoder_n_hidden=200)
    objective = dataclasses.replace(shared.objective, fc_criteria=0.8, penalty_coeff=5.0)
    config = dataclasses.replace(
        shared,
        name="replogle",
        prepare=dataclasses.replace(
            shared.prepare,
            strong_table=base.REPLOGLE_SUMMARY,
            strong_sheet="TabB_K562_day6_summary_stat",
        ),
        model=model,
        objective=objective,
    )
    return to_config_dict(config)
