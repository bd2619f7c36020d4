"""Settings from and to dictionaries, ml_collections and JSON; whatever comes in is checked."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from gpo_vae_jax.config import Config, EvaluateConfig
from gpo_vae_jax.config_help import expected
from gpo_vae_jax.config_ranges import validate, validate_evaluate
from gpo_vae_jax.errors import ConfigError

if TYPE_CHECKING:
    import ml_collections


def to_dict(config: Any) -> dict[str, Any]:
    """Return the settings as nested plain dictionaries."""
    return dataclasses.asdict(config)


def from_dict(values: Mapping[str, Any], kind: type = Config, where: str = "config") -> Any:
    """Build the dataclass `kind` from nested mappings; missing settings keep their default.

    Args:
      values: settings by name, groups as mappings: {"train": {"max_epochs": 200}}.
      kind: Config, EvaluateConfig or a group of either.
      where: what messages call the whole: "config.train.max_epochs".

    Raises:
      ConfigError: a name is unknown, or a value has the wrong type or is out of range; the message
        names the setting, the value and what was probably meant.
    """
    hints = typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}
    built = {}
    for name, value in values.items():
        path = f"{where}.{name}"
        if name not in known:
            raise ConfigError(f"{path}: no such setting; {meant(name, known)}")
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{path}={value!r} must be a group of settings")
            built[name] = from_dict(value, hint, path)
        else:
            built[name] = _checked(path, value, hint)
    result = kind(**built)
    if kind is Config:
        validate(result)
    if kind is EvaluateConfig:
        validate_evaluate(result)
    return result


def with_settings(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return the settings with some changed, by path such as "train.seed" (raises ConfigError)."""
    values = to_dict(config)
    for path, value in changes.items():
        *groups, name = path.split(".")
        inner: Any = values
        for group in groups:
            inner = inner.setdefault(group, {})
            if not isinstance(inner, dict):
                raise ConfigError(
                    f"config.{path}: no such setting; {group} is no group of settings"
                )
        inner[name] = value
    return from_dict(values)


def differences(old: Any, new: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield path, old and new value of every setting in which two configurations differ."""
    for field in dataclasses.fields(old):
        a, b = getattr(old, field.name), getattr(new, field.name)
        if dataclasses.is_dataclass(a):
            yield from differences(a, b, f"{at}{field.name}.")
        elif a != b:
            yield f"{at}{field.name}", a, b


def to_config_dict(config: Any) -> ml_collections.ConfigDict:
    """Return the settings as a ConfigDict, the form that `get_config()` of a file returns.

    An unset number becomes a placeholder, so that it can be assigned.
    """
    import ml_collections

    def convert(value):
        holders, hints = {}, typing.get_type_hints(type(value))
        for field in dataclasses.fields(value):
            entry = getattr(value, field.name)
            if dataclasses.is_dataclass(entry):
                entry = convert(entry)
            elif entry is None:
                kind = typing.get_args(hints[field.name])[0]
                entry = ml_collections.config_dict.placeholder(kind)
            holders[field.name] = entry
        return ml_collections.ConfigDict(holders)

    return convert(config)


def from_config_dict(values: ml_collections.ConfigDict) -> Config:
    """Return a ConfigDict as a checked Config (raises ConfigError)."""
    return from_dict(values.to_dict())


def to_json(config: Config) -> str:
    """Return the settings as JSON text."""
    return json.dumps(to_dict(config), indent=2) + "\n"


def from_json(text: str) -> Config:
    """Return the settings that `to_json` wrote (raises ConfigError)."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"the settings are not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"the settings must be a JSON object, not {values!r}")
    return from_dict(values)


def _checked(path: str, value: Any, hint: Any) -> Any:
    """Return `value` as the type `hint` (raises ConfigError)."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in args:
            raise ConfigError(f"{path}={value!r} is not possible; {meant(str(value), args)}")
        return value
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _checked(path, value, args[0])
    if origin is tuple:
        return _checked_tuple(path, value, args)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ConfigError(f"{path}={value!r} must be finite")
        return float(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{path}={value!r} must be {expected(hint)}")


def _checked_tuple(path: str, value: Any, args: tuple) -> tuple:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise ConfigError(f"{path}={value!r} must be a list")
    if args[-1] is Ellipsis:
        args = (args[0],) * len(value)
    if len(value) != len(args):
        raise ConfigError(f"{path}={value!r} must have {len(args)} entries, not {len(value)}")
    pairs = enumerate(zip(value, args, strict=True))
    return tuple(_checked(f"{path}[{i}]", entry, hint) for i, (entry, hint) in pairs)


def meant(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the closest known one, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
