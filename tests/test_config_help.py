"""The meaning of every setting, read from config.py."""

import pytest

from gpo_vae_jax import config_help
from gpo_vae_jax.config import Config, EvaluateConfig

ALL = [*config_help.settings(Config), *config_help.settings(EvaluateConfig)]


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: ".".join(setting.path))
def test_every_setting_has_a_meaning_and_an_expected_type(setting):
    assert 4 < len(setting.meaning) <= 70
    assert config_help.expected(setting.hint)
    assert "\n" not in config_help.shown(setting.default)


def test_comments_beside_and_above_fields_are_read():
    listed = {setting.path: setting for setting in ALL}
    several_lines = listed["prepare", "qc_metrics"]
    assert several_lines.meaning.startswith("metrics that can fail a cell")
    assert several_lines.heading == "Quality control"
    in_parentheses = listed["model", "likelihood_key"]
    assert in_parentheses.meaning.startswith("head of the counts: library_nb")
    assert listed["objective", "reweight", "prior"].default == (1.0, 1.0, 1.0, 1.0)
    assert listed["train", "seed"].heading == ""


def test_groups_are_described():
    groups = config_help.groups()
    assert list(groups) == ["data", "simulate", "prepare", "model", "objective", "train", "devices"]
    assert all(about and not about.endswith(".") for _, about in groups.values())


@pytest.mark.parametrize(
    ("value", "text"),
    [((20, 50), "20,50"), ((), ""), (None, "none"), (True, "true"), (3e-4, "0.0003"), ("a", "a")],
)
def test_values_are_shown_as_they_are_typed(value, text):
    assert config_help.shown(value) == text
