"""Guessing the perturbation column."""

import json

import pandas as pd
import pytest

from gpo_vae_jax.config import PrepareConfig, SimulateConfig
from gpo_vae_jax.data import guess_convention, prepare, simulate
from gpo_vae_jax.errors import DataError


@pytest.mark.parametrize(
    ("column", "control"),
    [("gene", "non-targeting"), ("condition", "ctrl"), ("perturbation", "control")],
)
def test_the_one_convention_that_fits_is_taken_and_said(column, control):
    obs = pd.DataFrame({column: ["A", control], "batch": ["1", "2"]})
    config, said = guess_convention(obs, PrepareConfig())
    assert (config.perturbation_key, config.control) == (column, control)
    assert column in said and control in said


@pytest.mark.parametrize(
    ("obs", "config"),
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


def test_preparing_in_memory_can_guess_and_says_so():
    raw = simulate(SimulateConfig(n_cells=200, n_genes=20, n_perturbed=3, n_extended=1))
    raw.obs = raw.obs.rename(columns={"perturbation": "gene"})
    said = []
    guessed = prepare(raw, progress=said.append, guess=True)
    named = prepare(raw, PrepareConfig(perturbation_key="gene"))
    note = json.loads(guessed.uns["gpo_vae"]["notes"])[0]
    assert f"note: {note}" in said
    assert note.startswith("guessed: perturbations are read from obs['gene']")
    assert json.loads(guessed.uns["gpo_vae"]["settings"])["perturbation_key"] == "gene"
    pd.testing.assert_frame_equal(guessed.obs, named.obs)
    with pytest.raises(DataError, match="obs has no column 'perturbation'"):
        prepare(raw)
