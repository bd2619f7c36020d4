"""The range of every setting, and which settings exclude or need each other."""

from __future__ import annotations

from gpo_vae_jax.config import (
    Config,
    EvaluateConfig,
    ModelConfig,
    ObjectiveConfig,
    PrepareConfig,
    SimulateConfig,
    TrainConfig,
)
from gpo_vae_jax.errors import ConfigError

_LARGEST_SEED = 2**32 - 1


def validate(config: Config) -> None:
    """Check the settings of a run.

    Raises:
      ConfigError: a value is out of range, or settings contradict each other; the message names
        the setting, the value and the range.
    """
    _check_simulate(config.simulate)
    _check_prepare(config.prepare)
    _check_model(config.model)
    _check_objective(config.objective)
    if config.objective.kl == "analytic" and config.model.effect_guide != "table":
        raise ConfigError(
            "config.objective.kl='analytic' needs q(E) as a table; set "
            "config.model.effect_guide='table'"
        )
    _check_train(config.train)
    for name in ("members", "cells"):  # 0: as many as there are
        _at_least(f"config.devices.{name}", getattr(config.devices, name), 0)
    _at_least("config.devices.genes", config.devices.genes, 1)


def validate_evaluate(e: EvaluateConfig) -> None:
    """Check the settings of an evaluation (raises ConfigError)."""
    for name in (
        *("iwelbo_particles", "effect_cells", "effect_particles"),
        *("top", "quality_cells", "max_path_length"),
    ):
        _at_least(f"evaluate.{name}", getattr(e, name), 1)
    for name in ("library_size", "memory_gib"):
        _positive(f"evaluate.{name}", getattr(e, name))
    for name in ("top_sets", "matched_edges"):
        for i, value in enumerate(getattr(e, name)):
            _at_least(f"evaluate.{name}[{i}]", value, 1)
    _at_least("evaluate.omission_pairs", e.omission_pairs, 0)
    _between("evaluate.threshold", e.threshold, 0, 1)
    _between("evaluate.fdr", e.fdr, 0, 1)
    _strictly_between("evaluate.p_value", e.p_value, 0, 1)
    _between("evaluate.seed", e.seed, 0, _LARGEST_SEED)


def _check_simulate(s: SimulateConfig) -> None:
    for name in ("n_cells", "n_genes", "n_perturbed", "n_batches"):
        _at_least(f"config.simulate.{name}", getattr(s, name), 1)
    for name in ("n_extended", "n_hidden", "edges_per_gene", "saturation", "batch_effect"):
        _at_least(f"config.simulate.{name}", getattr(s, name), 0)
    for name in ("median_umi", "dispersion"):
        _positive(f"config.simulate.{name}", getattr(s, name))
    for name in (
        *("control_fraction", "fail_fraction", "doublet_fraction", "double_fraction"),
        *("knockdown", "cycles", "escape_fraction", "batch_imbalance"),
    ):
        _between(f"config.simulate.{name}", getattr(s, name), 0, 1)
    _between("config.simulate.seed", s.seed, 0, _LARGEST_SEED)
    n_network = s.n_perturbed + s.n_extended
    if n_network > s.n_genes:
        raise ConfigError(
            f"config.simulate.n_genes={s.n_genes} must be at least n_perturbed + n_extended = "
            f"{n_network}: these network genes are measured"
        )


def _check_prepare(p: PrepareConfig) -> None:
    _positive("config.prepare.qc_threshold", p.qc_threshold)
    for i, threshold in enumerate(p.qc_also):
        _positive(f"config.prepare.qc_also[{i}]", threshold)
    if p.min_cells is not None:
        _at_least("config.prepare.min_cells", p.min_cells, 0)
    for name in ("strong_min_cells", "strong_min_degs", "seed"):
        _at_least(f"config.prepare.{name}", getattr(p, name), 0)
    _between("config.prepare.knockdown_percentile", p.knockdown_percentile, 0, 100)
    _at_least("config.prepare.extended_log_fold_change", p.extended_log_fold_change, 0)
    _between("config.prepare.extended_p", p.extended_p, 0, 1)
    _between("config.prepare.qc_largest_share", p.qc_largest_share, 0, 1)
    _at_least("config.prepare.guide_min_umi", p.guide_min_umi, 1)
    _between("config.prepare.guide_min_share", p.guide_min_share, 0.5, 1)
    _at_least("config.prepare.network_most", p.network_most, 1)
    if not p.network_genes:
        raise ConfigError(
            "config.prepare.network_genes is empty; it must be extended, perturbed, all, a number "
            "of genes, or a file of names"
        )
    for name in p.qc_metrics:
        if name not in PrepareConfig.qc_metrics:
            raise ConfigError(
                f"config.prepare.qc_metrics: no such metric {name!r}; "
                f"there are: {', '.join(PrepareConfig.qc_metrics)}"
            )
    if not p.perturbation_key:
        raise ConfigError(
            "config.prepare.perturbation_key is empty; name the obs column with the perturbed genes"
        )
    if not p.control:
        raise ConfigError("config.prepare.control is empty; name the label of control cells")
    if p.layer and p.use_raw:
        raise ConfigError(
            f"config.prepare.layer={p.layer!r} and config.prepare.use_raw=True exclude each other; "
            "choose a layer or use_raw"
        )
    if p.scrublet == "batch" and not p.batch_key:
        raise ConfigError(
            "config.prepare.scrublet='batch' needs config.prepare.batch_key, the obs column of "
            "batches"
        )


def _check_model(m: ModelConfig) -> None:
    for name in ("n_latent", "basal_encoder_n_hidden", "decoder_n_hidden"):  # 0: chosen
        _at_least(f"config.model.{name}", getattr(m, name), 0)
    _at_least("config.model.embedding_encoder_n_hidden", m.embedding_encoder_n_hidden, 1)
    for part in ("basal_encoder", "embedding_encoder"):
        _at_least(f"config.model.{part}_n_layers", getattr(m, f"{part}_n_layers"), 1)
    _at_least("config.model.decoder_n_layers", m.decoder_n_layers, 0)
    _positive("config.model.temperature", m.temperature)
    _strictly_between("config.model.mask_prior", m.mask_prior, 0, 1)
    _strictly_between("config.model.readout_prior", m.readout_prior, 0, 1)
    _positive("config.model.embedding_prior_scale", m.embedding_prior_scale)
    _positive("config.model.readout_prior_scale", m.readout_prior_scale)
    _at_least("config.model.propagate", m.propagate, 0)
    _between("config.model.escape_prior", m.escape_prior, 0, 0.9)
    if m.effect == "propagated":
        _check_propagated(m)
    elif m.escape_prior:
        raise ConfigError(
            f"config.model.escape_prior={m.escape_prior} needs effects that stay out of the hidden "
            "layers; set config.model.effect='propagated'"
        )
    elif m.effect_init == "deconvolution":
        raise ConfigError(
            "config.model.effect_init='deconvolution' needs effects in the unit of the data; set "
            "config.model.effect='propagated'"
        )
    if m.logits_or_probs == "probs":
        _between("config.model.mask_init (with logits_or_probs='probs')", m.mask_init, 0, 1)


def _check_propagated(m: ModelConfig) -> None:
    if m.effect_guide != "table":
        raise ConfigError(
            f"config.model.effect_guide={m.effect_guide!r} is not available with "
            "config.model.effect='propagated'; set config.model.effect_guide='table'"
        )
    if m.sum_mode:
        raise ConfigError(
            "config.model.sum_mode=True adds latents, but with config.model.effect='propagated' "
            "the effect is no latent; set config.model.sum_mode=False"
        )


def _check_objective(o: ObjectiveConfig) -> None:
    if o.kl == "analytic" and o.objective == "reweighted_elbo":
        raise ConfigError(
            "config.objective.kl='analytic' has no samples to reweight; set "
            "config.objective.kl='sampled' with config.objective.objective='reweighted_elbo'"
        )
    if o.alpha is not None:
        _between("config.objective.alpha", o.alpha, 0, 1)
    for name in ("beta", "gloss_coeff", "penalty_coeff", "hop", "invariance_coeff"):
        _at_least(f"config.objective.{name}", getattr(o, name), 0)


def _check_train(t: TrainConfig) -> None:
    for name in ("batch_size", "max_epochs", "network_samples"):  # 0: chosen, or one each
        _at_least(f"config.train.{name}", getattr(t, name), 0)
    for name in ("n_particles", "patience", "cyclic_step_size_up"):
        _at_least(f"config.train.{name}", getattr(t, name), 1)
    _at_least("config.train.checkpoint_every_steps", t.checkpoint_every_steps, 1)
    _between("config.train.seed", t.seed, 0, _LARGEST_SEED)
    for name in ("learning_rate", "gradient_clip_norm", "cyclic_low", "cyclic_high"):
        _positive(f"config.train.{name}", getattr(t, name))
    _positive("config.train.mask_rate", t.mask_rate)
    for name in ("warmup", "final_rate"):
        _between(f"config.train.{name}", getattr(t, name), 0, 1)
    for name in ("weight_decay", "save_every_seconds"):
        _at_least(f"config.train.{name}", getattr(t, name), 0)
    if t.cyclic_high < t.cyclic_low:
        raise ConfigError(
            f"config.train.cyclic_high={t.cyclic_high} must be at least "
            f"config.train.cyclic_low={t.cyclic_low}"
        )


def _at_least(name: str, value: float, low: float) -> None:
    if value < low:
        raise ConfigError(f"{name}={value} must be at least {low}")


def _positive(name: str, value: float) -> None:
    if value <= 0:
        raise ConfigError(f"{name}={value} must be greater than 0")


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name}={value} must be between {low} and {high}")


def _strictly_between(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        raise ConfigError(f"{name}={value} must be strictly between {low} and {high}")
