"""The well-known ways to name perturbations in an AnnData."""

from __future__ import annotations

import dataclasses

import pandas as pd

from gpo_vae_jax.config import PrepareConfig

CONVENTIONS = (  # (obs column, control label)
    ("gene", "non-targeting"),
    ("condition", "ctrl"),
    ("perturbation", "control"),
)


def guess_convention(obs: pd.DataFrame, config: PrepareConfig) -> tuple[PrepareConfig, str]:
    """Find the perturbation column where the configured one is absent or has no control cells.

    Only the untouched default is replaced, and only when exactly one convention fits. Gives the
    settings and a sentence on what was guessed ("" for nothing).
    """
    default = PrepareConfig()
    untouched = (config.perturbation_key, config.control) == (
        default.perturbation_key,
        default.control,
    )
    if not untouched or _fits(obs, config.perturbation_key, config.control):
        return config, ""
    fitting = [pair for pair in CONVENTIONS if _fits(obs, *pair)]
    if len(fitting) != 1:
        return config, ""
    key, control = fitting[0]
    said = f"perturbations are read from obs[{key!r}], control cells are {control!r}"
    return dataclasses.replace(config, perturbation_key=key, control=control), said


def _fits(obs: pd.DataFrame, key: str, control: str) -> bool:
    return key in obs and bool((obs[key].astype(str) == control).any())
