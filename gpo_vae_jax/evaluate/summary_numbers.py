"""The numbers of a summary by dotted path, such as network.block.edges.n."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

_NO_METRICS = ("settings", "name", "workdir", "options", "seed", "versions", "device", "data")
_IDENTIFY = ("set", "length", "edges")  # columns that tell the entries of a list apart


def finite(value: Any) -> Any:
    """Return plain JSON values: Python's types, and None for numbers that are not finite."""
    if isinstance(value, dict):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def entries(summary: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every entry of a summary, texts and missing values included, with its dotted path.

    The entries of a list are named by what identifies them: network.block.paths.length_2.n and
    curve.set_block.edges_500.mean_wasserstein; otherwise by their position.
    """
    if isinstance(summary, dict):
        for key, value in summary.items():
            yield from entries(value, f"{path}.{key}" if path else str(key))
    elif isinstance(summary, (list, tuple)):
        for i, value in enumerate(summary):
            names = [k for k in _IDENTIFY if isinstance(value, dict) and k in value]
            name = ".".join(f"{k}_{value[k]}" for k in names) or str(i)
            rest = {k: v for k, v in value.items() if k not in names} if names else value
            yield from entries(rest, f"{path}.{name}")
    else:
        yield path, summary


def numbers(summary: dict[str, Any]) -> dict[str, float]:
    """Return every result of a summary by dotted path; missing values are nan.

    Left out are settings, what describes the run (name, seed, versions, data), and texts.
    """
    found = {}
    for path, value in entries(summary):
        top, _, rest = path.partition(".")
        if top in _NO_METRICS or (top == "run" and rest.split(".")[0] in _NO_METRICS):
            continue
        if value is None:
            found[path] = math.nan
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[path] = float(value)
    return found
