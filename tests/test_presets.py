"""The presets: the values of the published runs, and the files in configs/ that stand for them."""

import importlib

import pytest

from gpo_vae_jax.config_io import from_config_dict
from gpo_vae_jax.presets import PRESETS
from tests.paths import ROOT

STRONG = {  # sheet of the summary table, where the name of a gene is in it
    "rpe1": ("TabC_RPE1_summary_statistic", "second_field"),
    "replogle": ("TabB_K562_day6_summary_stat", "second_field"),
    "adamson": ("", "whole"),
}
PUBLISHED = {  # n_latent, basal hidden, fc_criteria, penalty_coeff, extended genes
    "rpe1": (200, 200, 0.5, 10.0, "up_only"),
    "replogle": (100, 200, 0.8, 5.0, "up_only"),
    "adamson": (100, 400, 0.4, 1.0, "both"),
}


FILES = {**{name: name for name in PRESETS}, "published": "base"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_its_name_and_a_line_about_it(name):
    assert PRESETS[name]().name == name
    about = PRESETS[name].__doc__.splitlines()[0]
    assert 0 < len(about) <= 67 and about.endswith(".")


@pytest.mark.parametrize("name", PRESETS)
def test_the_file_in_configs_is_the_preset(name):
    module = importlib.import_module(f"configs.{FILES[name]}")
    assert from_config_dict(module.get_config()) == PRESETS[name]()


def test_every_file_in_configs_is_a_preset():
    assert {path.stem for path in (ROOT / "configs").glob("*.py")} == set(FILES.values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_settings(name):
    config = PRESETS[name]()
    m, o, t, p = config.model, config.objective, config.train, config.prepare
    assert PUBLISHED[name] == (
        m.n_latent,
        m.basal_encoder_n_hidden,
        o.fc_criteria,
        o.penalty_coeff,
        p.extended_genes,
    )
    assert (m.basal_encoder_n_layers, m.decoder_n_layers, m.decoder_n_hidden) == (1, 1, 400)
    assert (m.embedding_encoder_n_layers, m.embedding_encoder_n_hidden) == (4, 400)
    assert (m.mask_prior, m.embedding_prior_scale, m.mask_init) == (0.3, 1.0, 0.0)
    assert (m.logits_or_probs, m.likelihood_key) == ("logits", "library_nb")
    assert m.input_normalization == "log_standardize" and not m.sum_mode
    assert (o.beta, o.alpha, o.hop, o.gloss_coeff) == (0.1, None, 5, 100.0)
    assert (t.batch_size, t.n_particles, t.max_epochs, t.patience) == (512, 5, 2000, 30)
    assert (t.learning_rate, t.weight_decay, t.gradient_clip_norm) == (3e-4, 1e-6, 100.0)
    assert (p.perturbation_key, p.control, p.split) == ("gene", "non-targeting", "reference")
    assert p.strong_table and STRONG[name] == (p.strong_sheet, p.strong_names)
    assert (p.strong_min_degs, p.strong_max_knockdown, p.strong_min_cells) == (50, -0.3, 25)
    assert (p.knockdown, p.knockdown_percentile, p.min_cells) == (True, 10.0, 100)
    assert (p.extended_log_fold_change, p.extended_p, p.unmeasured) == (3.0, 0.01, "drop")
    assert (p.qc_threshold, p.qc_also, p.scrublet) == (3.0, (4.0, 5.0), "slices")
    assert (p.matching, p.combination_separator) == ("ot", "")


def test_no_filter_is_on_for_other_data():
    p = PRESETS["anndata"]().prepare
    assert not p.strong_table and not p.knockdown and p.min_cells is None and p.scrublet == "off"
    assert (p.split, p.recorded, p.split_key) == ("by_name", "all", "split")
