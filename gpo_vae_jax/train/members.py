"""The members of a training: which settings each has, and which of them share a program."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpo_vae_jax.config import Config
from gpo_vae_jax.config_io import differences, with_settings
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.spec import VARIED, Spec
from gpo_vae_jax.types import Sizes

Vary = Mapping[str, Sequence[Any]]  # path of a setting, such as "objective.beta" -> its values
_OF_DATA = ("data", "simulate", "prepare")  # groups in which members may not differ
_NOTHING: Vary = {}


def members_of(
    config: Config, seeds: int | Sequence[int] | None = None, vary: Vary = _NOTHING
) -> list[Config]:
    """Return the settings of every member: all seeds under all combinations of values.

    Args:
      config: what members share.
      seeds: of the members; by default `config.train.seed`.
      vary: values of further settings, by path.

    Raises:
      ConfigError: a seed or a setting is impossible, unknown or named twice.
    """
    seeds = _checked_seeds(config.train.seed if seeds is None else seeds)
    for path, values in vary.items():
        if path == "train.seed":
            raise ConfigError("vary: name the seeds of members as seeds=, not as train.seed")
        if isinstance(values, str) or not isinstance(values, Sequence) or not len(values):
            raise ConfigError(f"vary: {path}={values!r} must be a list of values, at least one")
        twice = [value for i, value in enumerate(values) if value in values[:i]]
        if twice:
            raise ConfigError(f"vary: {path} has the value {twice[0]!r} twice")
    combinations = itertools.product(*vary.values())
    return [
        with_settings(config, {**dict(zip(vary, values, strict=True)), "train.seed": seed})
        for values in combinations
        for seed in seeds
    ]


def check_members(configs: Sequence[Config]) -> None:
    """Check that members differ, and share their data (raises ConfigError)."""
    if not configs:
        raise ConfigError("a training needs at least one member")
    for config in configs[1:]:
        for path, old, new in differences(configs[0], config):
            if path.split(".")[0] in _OF_DATA:
                raise ConfigError(
                    f"members of one training share their data, but {path} is {old!r} for one and "
                    f"{new!r} for another"
                )
    for i, config in enumerate(configs):
        if config in configs[:i]:
            raise ConfigError(
                f"two members are the same run (seed {config.train.seed}); each needs a seed or "
                "settings of its own"
            )


def programs_of(configs: Sequence[Config], sizes: Sizes) -> list[list[int]]:
    """Return the members that share a program, by position: those that differ in numbers only.

    Numbers of `VARIED` become arguments of the program. A term of the loss whose coefficient is 0
    is not part of it, so that members with and without the term have programs of their own.
    """
    found: dict[Spec, list[int]] = {}
    for i, config in enumerate(configs):
        spec = Spec.of(config, sizes)
        marks = {path: float(_of(config, path) != 0) for path in VARIED}
        found.setdefault(spec.with_values(marks), []).append(i)
    return list(found.values())


def varied_values(configs: Sequence[Config]) -> dict[str, np.ndarray]:
    """Return the numbers in which members of one program differ, each [S] float32, by path."""
    values = {path: [_of(config, path) for config in configs] for path in VARIED}
    return {
        path: np.asarray(numbers, np.float32)
        for path, numbers in values.items()
        if len(set(numbers)) > 1
    }


def _of(config: Config, path: str) -> Any:
    group, name = path.split(".")
    return getattr(getattr(config, group), name)


def _checked_seeds(seeds: int | Sequence[int]) -> list[int]:
    chosen = [seeds] if isinstance(seeds, (int, np.integer)) else list(seeds)
    if not chosen:
        raise ConfigError("seeds is empty: name at least one, such as seeds=0 or seeds=(0, 1, 2)")
    for seed in chosen:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise ConfigError(f"seeds: {seed!r} is not a whole number")
        if not 0 <= seed < 2**32:
            raise ConfigError(f"seeds: {seed} must be between 0 and {2**32 - 1}")
    twice = sorted({seed for seed in chosen if chosen.count(seed) > 1})
    if twice:
        raise ConfigError(f"seeds: {twice[0]} is named twice; each member needs a seed of its own")
    return [int(seed) for seed in chosen]
