"""Medians, spreads and ratios of measured times."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence


def summary(values: Sequence[float]) -> dict[str, float | int]:
    """Return the median and the spread: minimum, maximum and interquartile range.

    Raises:
      ValueError: there are no values.
    """
    if not values:
        raise ValueError("nothing was measured: ask for at least one round")
    low = high = values[0]
    if len(values) > 1:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return {
        "median": significant(statistics.median(values)),
        "min": significant(min(values)),
        "max": significant(max(values)),
        "iqr": significant(high - low),
        "n": len(values),
    }


def ratio(slow: Mapping[str, float], fast: Mapping[str, float]) -> float:
    """Return the ratio of two medians: how many times faster the second is."""
    return significant(slow["median"] / fast["median"], 3)


def significant(value: float, digits: int = 4) -> float:
    """Round to significant digits."""
    return float(f"{value:.{digits}g}")


def to_stderr(text: str) -> None:
    """Report progress; stdout is for results."""
    print(text, file=sys.stderr, flush=True)
