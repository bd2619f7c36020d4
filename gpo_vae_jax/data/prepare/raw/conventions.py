"""Well-known conventions for naming perturbations in an AnnData."""

from __future__ import annotations

import dataclasses

import pandas as pd

from gpo_vae_jax.config import PrepareConfig

CONVENTIONS = (  # (obs column, control label, separator of combinations)
    ("gene", "non-targeting", "+"),  # Replogle
    ("condition", "ctrl", "+"),  # GEARS
    ("perturbation", "control", "_"),  # scPerturb and pertpy
)


def guess_convention(obs: pd.DataFrame, config: PrepareConfig) -> tuple[PrepareConfig, str]:
    """Find the perturbation column if the configured one is absent or has no control cells.

    Only default settings are replaced, and only if exactly one convention fits. If labels contain
    "+", that is the separator whatever the convention.

    Returns:
      The settings, and a sentence on what was guessed ("": nothing).
    """
    default = PrepareConfig()
    untouched = (config.perturbation_key, config.control) == (
        default.perturbation_key,
        default.control,
    )
    if not untouched or _fits(obs, config.perturbation_key, config.control):
        return config, ""
    found = [known for known in CONVENTIONS if _fits(obs, *known[:2])]
    if len(found) != 1:
        return config, ""
    key, control, separator = found[0]
    if config.combination_separator != default.combination_separator:
        separator = config.combination_separator
    elif obs[key].astype(str).str.contains("+", regex=False).any():
        separator = "+"
    said = f"perturbations are read from obs[{key!r}], control cells are {control!r}"
    if separator and obs[key].astype(str).str.contains(separator, regex=False).any():
        said += f", combinations are joined by {separator!r}"
    changed = {"perturbation_key": key, "control": control, "combination_separator": separator}
    return dataclasses.replace(config, **changed), said


def _fits(obs: pd.DataFrame, key: str, control: str) -> bool:
    return key in obs and bool((obs[key].astype(str) == control).any())
