"""The check that every setting lies in its range."""

from __future__ import annotations

from gpo_vae_jax.config import Config, EvaluateConfig, PrepareConfig
from gpo_vae_jax.errors import ConfigError


def validate(config: Config) -> None:
    """Check every value that has a range (raises ConfigError)."""
    m, o, t, p, s = config.model, config.objective, config.train, config.prepare, config.simulate
    _at_least("model.n_latent", m.n_latent, 1)
    for part in ("basal_encoder", "embedding_encoder", "decoder"):
        _at_least(f"model.{part}_n_hidden", getattr(m, f"{part}_n_hidden"), 1)
    for part in ("basal_encoder", "embedding_encoder"):
        _at_least(f"model.{part}_n_layers", getattr(m, f"{part}_n_layers"), 1)
    _at_least("model.decoder_n_layers", m.decoder_n_layers, 0)
    _positive("model.temperature", m.temperature)
    _between("model.mask_prior", m.mask_prior, 0, 1, open_ends=True)
    _positive("model.embedding_prior_scale", m.embedding_prior_scale)
    if m.logits_or_probs == "probs":
        _between("model.mask_init (with logits_or_probs='probs')", m.mask_init, 0, 1)
    if o.alpha is not None:
        _between("objective.alpha", o.alpha, 0, 1)
    for name in ("beta", "gloss_coeff", "penalty_coeff"):
        _at_least(f"objective.{name}", getattr(o, name), 0)
    _at_least("objective.hop", o.hop, 0)
    for name in ("batch_size", "n_particles", "max_epochs", "patience", "cyclic_step_size_up"):
        _at_least(f"train.{name}", getattr(t, name), 1)
    _at_least("train.checkpoint_every_steps", t.checkpoint_every_steps, 1)
    _between("train.seed", t.seed, 0, 2**32 - 1)
    for name in ("learning_rate", "gradient_clip_norm", "cyclic_low", "cyclic_high"):
        _positive(f"train.{name}", getattr(t, name))
    _at_least("train.weight_decay", t.weight_decay, 0)
    _at_least("train.save_every_seconds", t.save_every_seconds, 0)
    if t.cyclic_high < t.cyclic_low:
        raise ConfigError(
            f"config.train.cyclic_high={t.cyclic_high} is below cyclic_low={t.cyclic_low}"
        )
    _check_prepare(p)
    for name in ("n_cells", "n_genes", "n_perturbed"):
        _at_least(f"simulate.{name}", getattr(s, name), 1)
    _at_least("simulate.n_extended", s.n_extended, 0)
    _at_least("simulate.edges_per_gene", s.edges_per_gene, 0)
    _positive("simulate.median_umi", s.median_umi)
    _positive("simulate.dispersion", s.dispersion)
    _between("simulate.seed", s.seed, 0, 2**32 - 1)
    if s.n_perturbed + s.n_extended > s.n_genes:
        raise ConfigError(
            f"config.simulate: n_perturbed + n_extended = {s.n_perturbed + s.n_extended} is more "
            f"than n_genes = {s.n_genes}; every network gene must be measured"
        )
    for name in ("control_fraction", "fail_fraction", "doublet_fraction", "double_fraction"):
        _between(f"simulate.{name}", getattr(s, name), 0, 1)
    _between("simulate.knockdown", s.knockdown, 0, 1)


def validate_evaluate(e: EvaluateConfig) -> None:
    """Check the settings of an evaluation (raises ConfigError)."""
    for name in ("iwelbo_particles", "effect_particles", "top", "quality_cells", "max_path_length"):
        _at_least(name, getattr(e, name), 1, "evaluate")
    for name in ("library_size", "memory_gib"):
        _positive(name, getattr(e, name), "evaluate")
    for name in ("top_sets", "matched_edges"):
        for value in getattr(e, name):
            _at_least(f"{name}'s entry", value, 1, "evaluate")
    _at_least("omission_pairs", e.omission_pairs, 0, "evaluate")
    _between("threshold", e.threshold, 0, 1, where="evaluate")
    _between("p_value", e.p_value, 0, 1, open_ends=True, where="evaluate")
    _between("seed", e.seed, 0, 2**32 - 1, where="evaluate")


def _check_prepare(p: PrepareConfig) -> None:
    for threshold in (p.qc_threshold, *p.qc_also):
        _positive("prepare.qc_threshold and qc_also", threshold)
    for name in ("min_cells", "strong_min_cells", "strong_min_degs", "seed"):
        _at_least(f"prepare.{name}", getattr(p, name), 0)
    _between("prepare.knockdown_percentile", p.knockdown_percentile, 0, 100)
    _at_least("prepare.extended_log_fold_change", p.extended_log_fold_change, 0)
    _between("prepare.extended_p", p.extended_p, 0, 1)
    for name in p.qc_metrics:
        if name not in PrepareConfig.qc_metrics:
            raise ConfigError(
                f"config.prepare.qc_metrics: there is no metric {name!r}; "
                f"there are: {', '.join(PrepareConfig.qc_metrics)}"
            )
    for name in ("perturbation_key", "control"):
        if not getattr(p, name):
            raise ConfigError(f"config.prepare.{name} is empty")
    if p.layer and p.use_raw:
        raise ConfigError("config.prepare: name a layer or use_raw, not both")
    if p.scrublet == "batch" and not p.batch_key:
        raise ConfigError("config.prepare.scrublet='batch' needs config.prepare.batch_key")


def _at_least(name: str, value: float, low: float, where: str = "config") -> None:
    if value < low:
        raise ConfigError(f"{where}.{name}={value} must be at least {low}")


def _positive(name: str, value: float, where: str = "config") -> None:
    if value <= 0:
        raise ConfigError(f"{where}.{name}={value} must be greater than 0")


def _between(
    name: str,
    value: float,
    low: float,
    high: float,
    open_ends: bool = False,
    where: str = "config",
) -> None:
    if not (low < value < high if open_ends else low <= value <= high):
        ends = "strictly between" if open_ends else "between"
        raise ConfigError(f"{where}.{name}={value} must be {ends} {low} and {high}")
