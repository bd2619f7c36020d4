"""Complete settings by name: the published data sets, your own data, and a demo.

The first line of each docstring is what `gpo-vae train --help` says about the preset.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from gpo_vae_jax.config import (
    Config,
    DataConfig,
    ModelConfig,
    ObjectiveConfig,
    PrepareConfig,
    SimulateConfig,
    TrainConfig,
)

# `gpo-vae download summary_stats` writes it
REPLOGLE_SUMMARY = "data/replogle2022_summary_stats.xlsx"


def demo() -> Config:
    """Simulated cells with a known network; half a minute on two cores."""
    return dataclasses.replace(
        accurate(),
        name="demo",
        data=DataConfig(simulated=True),
        simulate=SimulateConfig(n_cells=6000, n_genes=120, n_perturbed=20, n_extended=10),
        prepare=PrepareConfig(extended_log_fold_change=1.0),
    )


def anndata() -> Config:
    """Your own AnnData: the accurate model, no filters."""
    return dataclasses.replace(accurate(), name="anndata")


def accurate() -> Config:
    """Effects that travel through the network; sizes from the data."""
    return Config(
        name="accurate",
        prepare=PrepareConfig(),
        model=ModelConfig(
            n_latent=0,
            basal_encoder_n_hidden=0,
            decoder_n_hidden=0,
            effect="propagated",
            effect_guide="table",
            effect_init="deconvolution",
            escape_prior=0.1,
            mask_prior=0.05,
        ),
        objective=ObjectiveConfig(
            cell_weights="equal",
            kl="analytic",
            beta=0.0,
            gloss_coeff=0.0,
            penalty_coeff=0.0,
            invariance_coeff=3.0,
        ),
        train=TrainConfig(
            batch_size=0,
            n_particles=2,
            network_samples=2,
            max_epochs=0,
            patience=100,  # the schedule spans the whole run
            learning_rate=5e-3,
            schedule="warmup_cosine",
            mask_rate=5.0,
        ),
    )


def rpe1() -> Config:
    """RPE1 (Replogle 2022): 91,891 cells, 383 + 272 treatments."""
    shared = published()
    return dataclasses.replace(
        shared,
        name="rpe1",
        prepare=dataclasses.replace(
            shared.prepare,
            strong_table=REPLOGLE_SUMMARY,
            strong_sheet="TabC_RPE1_summary_statistic",
        ),
        model=dataclasses.replace(shared.model, n_latent=200, basal_encoder_n_hidden=200),
        objective=dataclasses.replace(shared.objective, fc_criteria=0.5, penalty_coeff=10.0),
    )


def replogle() -> Config:
    """K562 (Replogle 2022): 129,478 cells, 622 + 924 treatments."""
    shared = published()
    return dataclasses.replace(
        shared,
        name="replogle",
        prepare=dataclasses.replace(
            shared.prepare,
            strong_table=REPLOGLE_SUMMARY,
            strong_sheet="TabB_K562_day6_summary_stat",
        ),
        model=dataclasses.replace(shared.model, n_latent=100, basal_encoder_n_hidden=200),
        objective=dataclasses.replace(shared.objective, fc_criteria=0.8, penalty_coeff=5.0),
    )


def adamson() -> Config:
    """K562 (Adamson 2016): 46,236 cells, 68 + 347 treatments."""
    shared = published()
    return dataclasses.replace(
        shared,
        name="adamson",
        prepare=dataclasses.replace(
            shared.prepare,
            strong_table="data/adamson_summary_stats.csv",
            strong_names="whole",  # a gene id
            extended_genes="both",
        ),
        model=dataclasses.replace(shared.model, n_latent=100, basal_encoder_n_hidden=400),
        objective=dataclasses.replace(shared.objective, fc_criteria=0.4, penalty_coeff=1.0),
    )


def published() -> Config:
    """What the published data sets share (docs/method.md 6, 7)."""
    return Config(
        name="published",
        prepare=PrepareConfig(
            perturbation_key="gene",
            control="non-targeting",
            combination_separator="",  # every cell has one perturbed gene
            split="reference",
            extended_genes="up_only",
            min_cells=100,
            scrublet="slices",
            knockdown=True,
            unmeasured="drop",
            join_controls=False,
            guide_labels="whole",
            qc_largest_share=1.0,
        ),
        model=ModelConfig(),
        objective=ObjectiveConfig(
            beta=0.1, alpha=None, hop=5, gloss_coeff=100.0, fc_criteria=0.5, penalty_coeff=10.0
        ),
        train=TrainConfig(batch_size=512, n_particles=5, max_epochs=2000, patience=30),
    )


PRESETS: Mapping[str, Callable[[], Config]] = {
    "demo": demo,
    "anndata": anndata,
    "accurate": accurate,
    "rpe1": rpe1,
    "replogle": replogle,
    "adamson": adamson,
    "published": published,
}
