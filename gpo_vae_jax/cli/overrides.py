"""Settings on the command line: --GROUP.NAME=VALUE into checked values."""

from __future__ import annotations

import ast
import difflib
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from gpo_vae_jax.config import Config, EvaluateConfig
from gpo_vae_jax.config_help import Setting, expected, settings
from gpo_vae_jax.errors import ConfigError

_OPTION = re.compile(r"--([A-Za-z_][\w-]*(?:\.[\w-]+)+)(?:=(.*))?", re.DOTALL)
_NEGATED = re.compile(r"no-?(config|data|simulate|prepare|model|objective|train|devices)\.")
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class Form(NamedTuple):
    """The settings that a command takes, and how their names begin."""

    kind: type
    prefix: str  # --PREFIX.NAME=VALUE
    short: bool  # whether the prefix may be left out


RUN = Form(Config, "config", short=True)  # --config.train.seed or --train.seed
EVALUATION = Form(EvaluateConfig, "evaluate", short=False)  # --evaluate.seed


class Override(NamedTuple):
    """One setting that the command line changes."""

    path: tuple[str, ...]
    value: Any


def separate(words: Sequence[str], form: Form | None) -> tuple[list[str], list[Override]]:
    """Part settings from the other words of a command line.

    --GROUP.NAME=VALUE, --GROUP.NAME VALUE and, for what is on or off, --GROUP.NAME and
    --noGROUP.NAME are understood.

    Raises:
      ConfigError: a setting is unknown, or its value has another type.
    """
    rest, found, waiting = [], [], list(words)
    while waiting:
        word = waiting.pop(0)
        match = _OPTION.fullmatch(word)
        if not match:
            rest.append(word)
            continue
        name, text = match.groups()
        negated = text is None and bool(_NEGATED.match(name))
        name = name.removeprefix("no").removeprefix("-") if negated else name
        option = f"--{name}"
        setting = _find(name.replace("-", "_"), form, option)
        if text is None:
            if setting.hint is bool:
                text = "false" if negated else "true"
            elif waiting and not waiting[0].startswith("--"):
                text = waiting.pop(0)
            else:
                raise ConfigError(
                    f"{option}: a value is missing; it must be {expected(setting.hint)}"
                )
        found.append(Override(setting.path, _value(option, text, setting.hint)))
    return rest, found


def merged(values: Mapping[str, Any], overrides: Sequence[Override]) -> dict[str, Any]:
    """Return nested settings with some of them replaced."""
    result = {k: merged(v, ()) if isinstance(v, Mapping) else v for k, v in values.items()}
    for path, value in overrides:
        group = result
        for name in path[:-1]:
            group = group.setdefault(name, {})
        group[path[-1]] = value
    return result


def _find(name: str, form: Form | None, option: str) -> Setting:
    if form is None:
        raise ConfigError(f"there is no option {option}; this command takes no settings")
    known = {".".join(setting.path): setting for setting in settings(form.kind)}
    start = name.split(".")[0]
    if start == form.prefix:
        wanted, shown = name.split(".", 1)[1], f"--{form.prefix}."
    elif form.short:
        wanted, shown = name, "--"
    else:
        raise ConfigError(
            f"there is no setting {option} here; settings of this command are "
            f"--{form.prefix}.NAME=VALUE"
        )
    if wanted in known:
        return known[wanted]
    if start == "evaluate" != form.prefix:
        raise ConfigError(f"there is no setting {option} here; it belongs to gpo-vae evaluate")
    _unknown(option, wanted, list(known), shown)


def _unknown(option: str, wanted: str, known: list[str], shown: str) -> NoReturn:
    """Raise a ConfigError that names what was probably meant."""
    inside = [name for name in known if name.startswith(f"{wanted}.")]
    if inside:
        raise ConfigError(
            f"{option} is a group of settings; name one, such as {shown}{inside[0]}=..."
        )
    group, _, leaf = wanted.rpartition(".")
    leaves = {name.rpartition(".")[2]: name for name in known if name.startswith(f"{group}.")}
    close = [name for name in known if name.rpartition(".")[2] == leaf]
    close = close or [leaves[name] for name in difflib.get_close_matches(leaf, leaves, n=1)]
    close = close or difflib.get_close_matches(wanted, known, n=1, cutoff=0.75)
    hint = f"did you mean {' or '.join(f'{shown}{name}' for name in close)}?"
    if not close:
        hint = f"see gpo-vae settings {group.split('.')[0] if leaves else ''}".rstrip()
    raise ConfigError(f"{option}: no such setting; {hint}")


def _value(option: str, text: str, hint: Any) -> Any:
    """Return the text as the type of the setting; names are checked with all other settings."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    try:
        if origin in (types.UnionType, typing.Union):
            unset = text.lower() in ("none", "null", "")
            return None if unset else _value(option, text, args[0])
        if origin is tuple:
            return tuple(_value(option, entry, args[0]) for entry in _entries(text))
        if hint is bool:
            return _BOOLEANS[text.lower()]
        return hint(text) if hint in (int, float) else text
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{option}={text} must be {expected(hint)}") from error


def _entries(text: str) -> list[str]:
    """Part a list: "('a', 'b')", "(5, 10)", "[5]", "a,b" and "" are all understood."""
    text = text.strip()
    if text[:1] in ("(", "[") and text[-1:] in (")", "]"):
        try:
            found = ast.literal_eval(text)
            return list(map(str, found if isinstance(found, (tuple, list)) else [found]))
        except (ValueError, SyntaxError):  # names without quotation marks
            text = text[1:-1]
    return [entry.strip().strip("'\"") for entry in text.split(",") if entry.strip()]
