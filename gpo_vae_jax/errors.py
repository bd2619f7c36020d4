"""The errors of the library: each message names the setting or column, the value and the fix."""

from __future__ import annotations

from collections.abc import Iterable


class ConfigError(ValueError):
    """A setting is unknown or its value is impossible."""


class DataError(ValueError):
    """The data cannot be used as it is."""


class TrainingError(RuntimeError):
    """A run cannot continue: the loss is not finite, or the run folder does not fit."""


def listed(names: Iterable[object], most: int = 12) -> str:
    """Join names with commas for a message, sorted, at most `most` of them."""
    text = sorted(str(name) for name in names)
    more = f" and {len(text) - most} more" if len(text) > most else ""
    return ", ".join(text[:most]) + more


def counted(n: int, noun: str) -> str:
    """Return a number with its noun for a message: 1 gene, 2 genes."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
