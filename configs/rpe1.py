r"""Train on RPE1 (Replogle 2022): 91,891 cells, 383 + 272 treatments, 8,749 genes.

    python scripts/prepare.py --config=configs/rpe1.py --input RAW.h5ad --output rpe1.h5ad
    python scripts/train.py --config=configs/rpe1.py --config.data.path=rpe1.h5ad \
        --workdir=runs/rpe1

The model has 8,783,233 parameters.
Expected time: preparation at RPE1 size takes 5 minutes and 6.6 GiB on two CPU cores
(benchmarks/results/prepare.json, simulated cells); training belongs on a GPU.
Expected result, as published: edges 2,211, ATE r .651 on all cells, mean Wasserstein .280.
"""

import dataclasses

from configs import base
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return the published settings."""
    shared = base.published()
    model = dataclasses.replace(shared.model, n_latent=200, basal_encoder_n_hidden=200)
    objective = dataclasses.replace(shared.objective, fc_criteria=0.5, penalty_coeff=10.0)
    config = dataclasses.replace(
        shared,
        name="rpe1",
        prepare=dataclasses.replace(
            shared.prepare,
            strong_table=base.REPLOGLE_SUMMARY,
            strong_sheet="TabC_RPE1_summary_statistic",
        ),
        model=model,
        objective=objective,
    )
    return to_config_dict(config)
