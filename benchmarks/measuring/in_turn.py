"""Functions timed in turn, so that a slow minute slows them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any


def in_turn(
    ways: Mapping[str, Callable[[], Any]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Call each function once a round.

    Returns:
      The seconds of every call and the last result, both by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results = {}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            results[name] = way()
            seconds[name].append(time.perf_counter() - start)
    return seconds, results
