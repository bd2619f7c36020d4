"""Well-known conventions for naming perturbations in an AnnData."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data.prepare.raw.control_labels import JOINED, alike, family_of, is_named
from gpo_vae_jax.errors import listed

CONVENTIONS = (  # (obs column, control label, separator of combinations)
    ("gene", "non-targeting", "+"),  # Replogle
    ("condition", "ctrl", "+"),  # GEARS
    ("perturbation", "control", "_"),  # scPerturb and pertpy
    ("genetic_perturbation_id", "na", " || "),  # CELLxGENE's schema
)
_GENE_COLUMNS = (
    *("perturbation", "gene", "target_gene", "gene_target", "target", "condition"),
    *("perturbation_name", "perturbed_gene", "knockout", "perturbations"),
)
GUIDE_COLUMNS = (
    *(
        "assigned_guide",
        "guide",
        "guide_id",
        "guide_identity",
        "guide_name",
        "grna",
        "grna_id",
        "sgrna",
        "sgrna_id",
    ),
    *("guide_ids", "guide_target", "feature_call", "protospacer", "sgid", "sgid_ab"),
)


def guess_convention(
    obs: pd.DataFrame, config: PrepareConfig, genes: Iterable[str] = ()
) -> tuple[PrepareConfig, str]:
    """Find the perturbation column if the configured one is absent or has no control cells.

    Only default settings are replaced, and only if exactly one convention fits, or one of the usual
    columns has the control that the settings name; or else, if exactly
    one of the usual columns has labels of a family of controls (control_labels). If labels contain
    "+", that is the separator whatever the convention.

    Returns:
      The settings, and a sentence on what was guessed ("": nothing).
    """
    default = PrepareConfig()
    free = {
        name: getattr(config, name) == getattr(default, name)
        for name in ("perturbation_key", "control", "more_controls", "combination_separator")
    }
    if not free["control"] or not free["more_controls"]:
        if free["perturbation_key"] and not _fits(obs, config.perturbation_key, config):
            return _column_with_controls(obs, config)
        return config, ""
    if _fits(obs, config.perturbation_key, config):
        return config, ""
    if free["perturbation_key"]:
        found = [
            known for known in CONVENTIONS
            if _fits(obs, known[0], dataclasses.replace(config, control=known[1]))
        ]  # fmt: skip
        if len(found) == 1:
            key, control, separator = found[0]
            if not free["combination_separator"]:
                separator = config.combination_separator
            elif _text(obs, key).str.contains("+", regex=False).any():
                separator = "+"
            changed = {"combination_separator": separator}
            return _guessed(obs, config, key, (control,), changed)
        if found:
            return config, ""
    keys = _columns(obs) if free["perturbation_key"] else [config.perturbation_key]
    measured = set(genes)
    having = {key: labels for key in keys if (labels := _families(obs, key, measured))}
    for group in (_GENE_COLUMNS, GUIDE_COLUMNS, tuple(having)):
        among = [key for key in having if key.lower() in group or key in group]
        if len(among) == 1:
            return _guessed(obs, config, among[0], having[among[0]], {})
        if among:
            break
    return config, ""


def control_advice(obs: pd.DataFrame, config: PrepareConfig, labels: Iterable[str]) -> str:
    """Return the error that no cell is a control, with what looks like one."""
    key = config.perturbation_key
    wanted = " or ".join(map(repr, (config.control, *config.more_controls)))
    return (
        f"obs[{key!r}] has no control cells {wanted}; {_alike(labels)}; "
        "config.prepare.control=LABEL names the control, or a pattern such as 'NT-*'"
        f"{known_columns(obs, key)}"
    )


def known_columns(obs: pd.DataFrame, besides: str = "") -> str:
    """Describe the other columns that usually name perturbations, and their control labels."""
    usual = dict.fromkeys((*(known[0] for known in CONVENTIONS), *_columns(obs)))
    keys = [key for key in usual if key in obs and key != besides]
    said = [f"obs[{key!r}] ({_alike(obs[key].unique())})" for key in keys]
    return f"; perturbations may be in {' or '.join(said)}" if said else ""


def _column_with_controls(obs: pd.DataFrame, config: PrepareConfig) -> tuple[PrepareConfig, str]:
    """Return the settings with the one usual column that has the named controls."""
    usual = dict.fromkeys((*(known[0] for known in CONVENTIONS), *_columns(obs)))
    found = [key for key in usual if _fits(obs, key, config)]
    if len(found) != 1:
        return config, ""
    said = f"perturbations are read from obs[{found[0]!r}]"
    return dataclasses.replace(config, perturbation_key=found[0]), said


def _guessed(
    obs: pd.DataFrame,
    config: PrepareConfig,
    key: str,
    controls: tuple[str, ...],
    changed: Mapping[str, Any],
) -> tuple[PrepareConfig, str]:
    control = controls[0] if len(controls) == 1 else JOINED
    more = () if len(controls) == 1 else controls
    config = dataclasses.replace(
        config, perturbation_key=key, control=control, more_controls=more, **changed
    )
    named = repr(control) if len(controls) == 1 else f"labelled {listed(controls, 4)}"
    said = f"perturbations are read from obs[{key!r}], control cells are {named}"
    separator = changed.get("combination_separator", "")
    if separator and _text(obs, key).str.contains(separator, regex=False).any():
        said += f", combinations are joined by {separator!r}"
    return config, said


def _columns(obs: pd.DataFrame) -> list[str]:
    """Return the columns of obs that usually name perturbations or guides."""
    known = (*_GENE_COLUMNS, *GUIDE_COLUMNS)
    return [str(column) for column in obs if str(column).lower() in known]


def _families(obs: pd.DataFrame, key: str, genes: set[str]) -> tuple[str, ...]:
    """Return the labels of a column that belong to a family of controls, sorted."""
    if key not in obs or pd.api.types.is_numeric_dtype(obs[key].dtype):
        return ()
    distinct = {str(label).strip() for label in obs[key].dropna().unique()}
    return tuple(sorted(label for label in distinct if family_of(label, genes)))


def _text(obs: pd.DataFrame, key: str) -> pd.Series:
    return obs[key].astype(str)


def _fits(obs: pd.DataFrame, key: str, config: PrepareConfig) -> bool:
    return key in obs and any(is_named(str(label), config) for label in obs[key].unique())


def _alike(labels: Iterable[object]) -> str:
    """Describe the labels that look like a control."""
    found = alike(map(str, labels))
    return f"labels that look like one: {listed(found)}" if found else "no label looks like one"
