"""Atomic files: written next to their destination, then renamed."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_beside(path: str | os.PathLike[str]) -> Generator[Path, None, None]:
    """Yield a temporary path that replaces `path` when the block ends without an error.

    After an error the temporary file is removed and `path` stays as it was. An error of the disk
    names the path.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _naming(path):
            yield beside
            os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file atomically."""
    with written_beside(path) as beside:
        beside.write_text(text, encoding="utf-8")


@contextmanager
def folder_written_beside(path: str | os.PathLike[str]) -> Generator[Path, None, None]:
    """Yield a new folder that replaces the folder `path` when the block ends without an error.

    After an error or an interruption the new folder is removed and `path` stays as it was. What
    killed processes of this machine have left beside `path` is removed first.
    """
    path = Path(path)
    start = f".{path.name}.{_host()}."
    for left in path.parent.glob(f"{start}*.part"):
        number = left.name[len(start) : -len(".part")]
        if number.isdigit() and not _runs(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    beside = path.with_name(f"{start}{os.getpid()}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with _naming(path):
            beside.mkdir(parents=True)
            yield beside
            if path.exists():
                shutil.rmtree(path)
            os.replace(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def _naming(path: Path) -> Generator[None, None, None]:
    """Let errors of the disk that name no file name this path."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _host() -> str:
    return platform.node() or "localhost"


def _runs(process: int) -> bool:
    """Return whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is someone else's
        return True
    return True
