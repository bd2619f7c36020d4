"""Train on simulated cells whose network is known: the first thing to run.

    python scripts/train.py --config=configs/demo.py --workdir=runs/demo

Expected time: half a minute on two CPU cores, of which the epochs take 16 to 19 seconds, 11 to 13
to compile.
Expected result: the edges of the simulated network stand clearly above chance among the
probabilities of runs/demo/grn.csv (the area under the precision-recall curve is printed).
"""

from configs import base
from gpo_vae_jax.config import (
    Config,
    DataConfig,
    ModelConfig,
    ObjectiveConfig,
    PrepareConfig,
    SimulateConfig,
    TrainConfig,
)
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return small sizes; what is not named here is as published."""
    shared = base.published().objective
    return to_config_dict(
        Config(
            name="demo",
            data=DataConfig(simulated=True),
            simulate=SimulateConfig(n_cells=6000, n_genes=120, n_perturbed=20, n_extended=10),
            prepare=PrepareConfig(extended_log_fold_change=1.0),
            model=ModelConfig(
                n_latent=20,
                basal_encoder_n_hidden=64,
                embedding_encoder_n_layers=4,
                embedding_encoder_n_hidden=64,
                decoder_n_hidden=64,
            ),
            objective=ObjectiveConfig(
                beta=shared.beta,
                hop=shared.hop,
                gloss_coeff=shared.gloss_coeff,
                fc_criteria=0.8,
                penalty_coeff=shared.penalty_coeff,
            ),
            train=TrainConfig(batch_size=256, n_particles=2, max_epochs=100, learning_rate=2e-3),
        )
    )
