"""The signals by which a person, or a cluster, ends a training."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_END = b"\0"  # no signal has this number


@contextmanager
def stop_on_signal(*, ends_process: bool = False) -> Iterator[threading.Event]:
    """Turn the first SIGINT or SIGTERM into an event.

    Args:
      ends_process: whether the second ends the process at once and quietly, with the status of an
        interruption; checkpoints are complete or absent at any moment. Otherwise the second acts as
        it did before, which in a notebook is a KeyboardInterrupt.
    """
    if threading.current_thread() is not threading.main_thread():
        yield threading.Event()
    elif ends_process:
        yield from _watched()
    else:
        yield from _handled()


def _handled() -> Iterator[threading.Event]:
    stop, before = threading.Event(), {}

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        stop.set()
        signal.signal(number, before[number])
        _say_first()

    for number in _SIGNALS:
        before[number] = signal.getsignal(number) or signal.SIG_DFL
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watched() -> Iterator[threading.Event]:
    """Watch for signals in a thread.

    Python runs a handler only when the main thread is back from compiled code, which may take an
    epoch. The thread hears of a signal at once.
    """
    stop = threading.Event()
    heard, told = os.pipe()
    os.set_blocking(told, False)

    def watch() -> None:
        while True:
            number = os.read(heard, 1)
            if number == _END:
                return
            if number[0] not in _SIGNALS:
                continue
            if stop.is_set():
                os._exit(128 + number[0])
            stop.set()
            _say_first()

    thread = threading.Thread(target=watch, daemon=True)
    before = {number: signal.signal(number, _ignore) for number in _SIGNALS}
    other = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    thread.start()
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(other)
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        os.write(told, _END)
        thread.join()
        os.close(heard)
        os.close(told)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: the watching thread acts."""


def _say_first() -> None:
    stream = sys.__stderr__ or sys.stderr  # a save may be keeping the other one quiet
    print("\nstopping after this epoch; press again to stop at once", file=stream, flush=True)
