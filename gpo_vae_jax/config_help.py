"""What every setting means, read from the comments in config.py: help and code cannot differ."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import io
import textwrap
import tokenize
import types
import typing
from typing import Any, Literal, NamedTuple

from gpo_vae_jax.config import Config


class Setting(NamedTuple):
    """A setting: its path below the dataclass it was listed for, and what is known about it."""

    path: tuple[str, ...]  # ("train", "max_epochs")
    hint: Any  # its type
    default: Any
    meaning: str  # the comment beside the field
    heading: str  # the comment above its fields; empty: none


@functools.cache
def settings(kind: type = Config) -> tuple[Setting, ...]:
    """List the settings of a configuration dataclass and of its groups, in order of definition."""
    hints = typing.get_type_hints(kind)
    comments = _comments(kind)
    listed = []
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            for inner in settings(hint):
                listed.append(inner._replace(path=(field.name, *inner.path)))
        else:
            listed.append(Setting((field.name,), hint, field.default, *comments[field.name]))
    return tuple(listed)


def groups(kind: type = Config) -> dict[str, tuple[type, str]]:
    """Return the class and the description of each group of settings: {"train": (..., "...")}."""
    hints = typing.get_type_hints(kind)
    found = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    return {name: (hint, _summary(hint)) for name, hint in found.items()}


def expected(hint: Any) -> str:
    """Return what a value of this type looks like, for messages: "a whole number"."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (types.UnionType, typing.Union):
        return f"{expected(args[0])}, or none"
    if origin is tuple:
        many = "any number of" if args[-1] is Ellipsis else str(len(args))
        entries = {int: "whole numbers, such as 5,10", float: "numbers", str: "names, such as A,B"}
        return f"a list of {many} {entries[args[0]]}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names[hint]


def shown(value: Any) -> str:
    """Return a value as it is written on a command line: (20, 50) is "20,50"."""
    if isinstance(value, tuple):
        return ",".join(map(shown, value))
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _summary(kind: type) -> str:
    return (kind.__doc__ or "").splitlines()[0].rstrip(".")


def _comments(kind: type) -> dict[str, tuple[str, str]]:
    """Return (meaning, heading) of each field, from the source of its class."""
    source = textwrap.dedent(inspect.getsource(kind))
    comments = {
        token.start[0]: (token.string.lstrip("# "), token.line.strip().startswith("#"))
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    found, heading, line = {}, "", 0
    for node in definition.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        end = node.end_lineno or node.lineno
        above = [comments[i][0] for i in range(line + 1, node.lineno) if i in comments]
        beside = [comments[i][0] for i in range(node.lineno, end + 1) if i in comments]
        heading, line = (above[-1] if above else heading), end
        found[node.target.id] = (" ".join(beside), heading)
    return found
