"""Guessing the perturbation column."""

import pandas as pd
import pytest

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import guess_convention


@pytest.mark.parametrize(
    "column, control",
    [("gene", "non-targeting"), ("condition", "ctrl"), ("perturbation", "control")],
)
def test_the_one_convention_that_fits_is_taken_and_said(column, control):
    obs = pd.DataFrame({column: ["A", control], "batch": ["1", "2"]})
    config, said = guess_convention(obs, PrepareConfig())
    assert (config.perturbation_key, config.control) == (column, control)
    assert column in said and control in said


@pytest.mark.parametrize(
    "obs, config",
    [
        ({"perturbation": ["non-targeting"], "condition": ["ctrl"]}, PrepareConfig()),
        ({"gene": ["non-targeting"], "condition": ["ctrl"]}, PrepareConfig()),
        ({"gene": ["non-targeting"]}, PrepareConfig(perturbation_key="guide")),
        ({"gene": ["something"]}, PrepareConfig()),
    ],
    ids=["configured column fits", "two fit", "column was named", "none fits"],
)
def test_nothing_is_guessed_otherwise(obs, config):
    assert guess_convention(pd.DataFrame(obs), config) == (config, "")
