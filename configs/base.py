"""What the published configurations share (docs/method.md 6, 7)."""

import dataclasses

from gpo_vae_jax.config import Config, ModelConfig, ObjectiveConfig, PrepareConfig, TrainConfig
from gpo_vae_jax.config_io import to_config_dict

# python scripts/download_datasets.py summary_stats puts it there
REPLOGLE_SUMMARY = "data/replogle2022_summary_stats.xlsx"


def published() -> Config:
    """Return the settings that the published runs have in common."""
    return Config(
        prepare=PrepareConfig(
            perturbation_key="gene",
            control="non-targeting",
            combination_separator="",  # the published data sets perturb one gene a cell
            split="reference",
            extended_genes="up_only",
            min_cells=100,
            scrublet="slices",
            knockdown=True,
            unmeasured="drop",
        ),
        model=ModelConfig(),
        objective=ObjectiveConfig(
            beta=0.1, alpha=None, hop=5, gloss_coeff=100.0, fc_criteria=0.5, penalty_coeff=10.0
        ),
        train=TrainConfig(batch_size=512, n_particles=5, max_epochs=2000, patience=30),
    )


def get_config():
    """Return the shared settings under --config."""
    return to_config_dict(dataclasses.replace(published(), name="base"))
