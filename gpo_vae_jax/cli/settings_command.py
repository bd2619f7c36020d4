"""List every setting with its default and meaning, of one group or of all.

Change one by --GROUP.NAME=VALUE in prepare, train and evaluate.

    gpo-vae settings train
    gpo-vae settings model --preset rpe1
"""

from __future__ import annotations

import argparse
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpo_vae_jax.cli.arguments import WIDTH, CommandParser
from gpo_vae_jax.cli.invocation import Invocation
from gpo_vae_jax.cli.overrides import RUN
from gpo_vae_jax.cli.settings_arguments import add_settings, config_of
from gpo_vae_jax.config import Config, EvaluateConfig
from gpo_vae_jax.config_help import Setting, groups, settings, shown
from gpo_vae_jax.config_io import meant, to_dict
from gpo_vae_jax.errors import ConfigError


def define(parser: CommandParser) -> None:
    """Add the options."""
    parser.takes("[GROUP ...] [options]", words="words", settings=RUN)
    every = _groups()
    width = max(map(len, every)) + 2
    parser.group(
        "groups", table="\n".join(f"{name:{width}}{about}" for name, about in every.items())
    )
    add_settings(parser)
    form = parser.group("form")
    parser.flag(form, "markdown", default=False, help="tables, as in docs/settings.md")


def run(args: argparse.Namespace, invocation: Invocation) -> None:
    """Print the settings."""
    del invocation
    every = _groups()
    for name in args.words:
        if name not in every:
            raise ConfigError(f"there is no group {name!r}; {meant(name, every)}")
    values = to_dict(config_of(args)) if args.preset or args.config or args.overrides else {}
    write = markdown if args.markdown else text
    blocks = [
        "\n".join(write(name, every[name], listed(name, values))) for name in args.words or every
    ]
    print("\n\n".join(blocks))


def listed(name: str, values: Mapping[str, Any]) -> list[Setting]:
    """List the settings of a group; `values`, nested by name, replace the defaults."""
    if name == "evaluate":
        return list(settings(EvaluateConfig))
    if name == "config":
        return [_with_value(one, values) for one in settings(Config) if len(one.path) == 1]
    found = [_with_value(one, values) for one in settings(Config) if one.path[0] == name]
    return [one._replace(path=one.path[1:]) for one in found]


def _with_value(setting: Setting, values: Mapping[str, Any]) -> Setting:
    if not values:
        return setting
    value: Any = values
    for name in setting.path:
        value = value[name]
    return setting._replace(default=value)


def text(name: str, about: str, found: Sequence[Setting]) -> Iterator[str]:
    """Return lines for a terminal."""
    yield from textwrap.wrap(f"{name}: {about}", WIDTH)
    heading = ""
    for setting in found:
        if setting.heading != heading:
            heading = setting.heading
            yield f"\n  {heading}"
        yield f"  --{name}.{'.'.join(setting.path)}={shown(setting.default)}"
        indent = " " * 6
        yield from textwrap.wrap(
            _explained(setting), WIDTH, initial_indent=indent, subsequent_indent=indent
        )


def markdown(name: str, about: str, found: Sequence[Setting]) -> Iterator[str]:
    """Return a section with a table."""
    yield f"## {name}\n\n{about}.\n\n| setting | default | meaning |\n|---|---|---|"
    for setting in found:
        value = shown(setting.default)
        cells = (
            f"`{name}.{'.'.join(setting.path)}`",
            f"`{value}`" if value else "empty",
            _explained(setting).replace("|", "\\|"),
        )
        yield f"| {' | '.join(cells)} |"


def _groups() -> dict[str, str]:
    """Return the description of each group, as help lists them."""
    about = {name: text for name, (_, text) in groups().items()}
    evaluate = (EvaluateConfig.__doc__ or "").splitlines()[0].rstrip(".")
    return {"config": "Settings outside the groups", **about, "evaluate": evaluate}


def _explained(setting: Setting) -> str:
    """Return the meaning, with the possible values where they are few."""
    if typing.get_origin(setting.hint) is typing.Literal:
        return f"{setting.meaning} ({', '.join(typing.get_args(setting.hint))})"
    return setting.meaning
