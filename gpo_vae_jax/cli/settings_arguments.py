"""--preset NAME and --config FILE, with --GROUP.NAME=VALUE on top: the settings of a run."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shlex
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpo_vae_jax.cli.arguments import CommandParser
from gpo_vae_jax.cli.overrides import merged
from gpo_vae_jax.config import Config
from gpo_vae_jax.config_io import from_dict, meant, to_dict
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.presets import PRESETS

_ABOUT = (
    "Begin with a preset or a file, then change any setting by --GROUP.NAME=VALUE, such as "
    "--train.max_epochs=200 or --prepare.qc_also=4,5 (a list). `gpo-vae settings` shows them all."
)


def add_settings(parser: CommandParser) -> None:
    """Add --preset and --config, and the list of presets."""
    group = parser.group("settings", about=_ABOUT)
    group.add_argument("--preset", metavar="NAME", help="one of the presets below")
    group.add_argument(
        "--config",
        metavar="FILE",
        help="a .py file with get_config(), as in configs/, the config.json of a run, or the YAML "
        "of the PyTorch original",
    )
    parser.group("presets", table=describe_presets())


def describe_presets() -> str:
    """Return a line about each preset."""
    width = max(map(len, PRESETS)) + 2
    return "\n".join(
        f"{name:{width}}{(make.__doc__ or '').splitlines()[0]}" for name, make in PRESETS.items()
    )


def config_of(args: argparse.Namespace) -> Config:
    """Return the settings that the command line asks for.

    Raises:
      ConfigError: neither or both of --preset and --config are given, the file cannot be read, or
        a setting is unknown or out of range.
    """
    if args.preset and args.config:
        raise ConfigError("--preset and --config exclude each other; choose one")
    if not args.preset and not args.config:
        raise ConfigError(
            f"--preset is missing: the settings to begin with, such as --preset demo (or "
            f"{', '.join(name for name in PRESETS if name != 'demo')}), or --config=FILE"
        )
    values = _of_preset(args.preset) if args.preset else _of_file(args.config)
    try:
        return from_dict(merged(values, args.overrides))
    except ConfigError as error:
        if args.overrides or not args.config:
            raise
        raise ConfigError(f"{error} (in {args.config})") from error


def grid_of_file(name: str) -> Mapping[str, Any]:
    """Return the grid of a settings file, what its get_sweep() returns; nothing if it has none.

    Raises:
      ConfigError: it is no mapping of settings to values.
    """
    path = Path(name)
    if path.suffix != ".py":
        return {}
    found = _returned(path, "get_sweep", required=False)
    if not isinstance(found, Mapping):
        raise ConfigError(
            f"get_sweep() in {name} must return settings and their values, such as "
            '{"train.seed": (0, 1, 2)}'
        )
    return found


def as_given(args: argparse.Namespace) -> str:
    """Return --preset or --config as the user may repeat it."""
    return f"--preset {args.preset}" if args.preset else f"--config={shlex.quote(args.config)}"


def _of_preset(name: str) -> dict[str, Any]:
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; {meant(name, PRESETS)}")
    return to_dict(PRESETS[name]())


def _of_file(name: str) -> Mapping[str, Any]:
    path = Path(name)
    if path.is_dir():
        raise ConfigError(f"--config={name} is a folder; name a file in it, such as config.json")
    if not path.is_file():
        hint = f"presets are {', '.join(PRESETS)}"
        if path.stem in PRESETS:
            hint = f"the preset of that name is --preset {path.stem}"
        raise ConfigError(f"--config={name}: there is no such file in {Path.cwd()}; {hint}")
    if path.suffix == ".py":
        return _of_python(path)
    if path.suffix in (".yaml", ".yml"):
        return _of_yaml(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"--config={name} is neither a .py file nor JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"--config={name} must hold a JSON object, as config.json of a run does")
    from gpo_vae_jax.runs.sealed_json import unsealed

    return unsealed(values, f"--config={name}")


def _of_yaml(path: Path) -> Mapping[str, Any]:
    """Return the settings in the original's YAML; say which of its keys mean nothing here."""
    from gpo_vae_jax.original.yaml_settings import read_yaml

    found = read_yaml(path)
    if found.unused:
        print(f"note: {path}: left out, {', '.join(found.unused)}", file=sys.stderr)
    return to_dict(found.config)


def _of_python(path: Path) -> Mapping[str, Any]:
    """Run a file of settings, and return what its get_config() returns."""
    values = _returned(path, "get_config")
    if isinstance(values, Config):
        return to_dict(values)
    if hasattr(values, "to_dict"):  # a ConfigDict
        values = values.to_dict()
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"--config={path}: get_config() must return a Config or a ConfigDict, not "
            f"{type(values).__name__}"
        )
    return values


def _returned(path: Path, function: str, *, required: bool = True) -> Any:
    """Run a file of settings, and return what one of its functions returns; {} without it."""
    name = "gpo_vae_jax_settings_file"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
        return getattr(module, function)() if required or hasattr(module, function) else {}
    except Exception as error:
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == spec.origin
        ]
        where = f" in line {lines[-1]}" if lines else ""
        raise ConfigError(
            f"--config={path} cannot be used: {type(error).__name__}{where}: {error}"
        ) from error
    finally:
        del sys.modules[name]
