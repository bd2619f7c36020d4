"""Progress of long work on standard error: a bar in a terminal, whole lines in a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from tqdm import tqdm

_SECONDS_IN_A_FILE = 15.0  # between two lines of a redirected log


def bar(total: int, unit: str, *, label: str = "", shown: bool = True, initial: int = 0) -> tqdm:
    """Return a progress bar with rate and time left; nothing is written where `shown` is False.

    Where standard error is no terminal, each update is a line of its own, every 15 seconds.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=initial,
        desc=label or None,
        unit=unit,
        disable=not shown,
        file=sys.stderr if terminal else _Lines(sys.stderr),
        mininterval=0.2 if terminal else _SECONDS_IN_A_FILE,
        miniters=1,
        smoothing=0,
        dynamic_ncols=terminal,
        ncols=None if terminal else 80,
    )


def stages(shown: bool = True) -> Callable[[str], None]:
    """Return a function that says what begins, with the seconds since the start."""
    start = time.perf_counter()

    def say(stage: str) -> None:
        if shown:
            print(f"[{time.perf_counter() - start:6.1f} s] {stage}", file=sys.stderr, flush=True)

    return say


def note(text: str) -> None:
    """Say on standard error what a user should know though the work goes on."""
    print(f"note: {text}", file=sys.stderr, flush=True)


class _Lines:
    """A text stream in which every carriage return begins a new line."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._empty = True

    def write(self, text: str) -> int:
        lines = text.replace("\r", "\n")
        if self._empty:
            lines = lines.lstrip("\n")
        if lines.strip():
            self._empty = False
        return self._stream.write(lines)

    def flush(self) -> None:
        self._stream.flush()
