"""Text files as downloaded: plain, gzipped or zipped."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TextIO

from gpo_vae_jax.errors import DataError


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a text file of any compression (raises DataError, naming the file)."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no file {str(path)!r}")
    try:
        with path.open("rb") as raw:
            start = raw.read(4)
            raw.seek(0)
            if start[:2] == b"\x1f\x8b":
                binary = gzip.GzipFile(fileobj=raw)
            elif start == b"PK\x03\x04":
                binary = _only_member(zipfile.ZipFile(raw), path)
            else:
                binary = raw
            with io.TextIOWrapper(binary, encoding="utf-8-sig", newline=None) as text:
                yield text
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{str(path)!r} cannot be read as text: {error}") from error


def first_lines(path: str | os.PathLike[str], n: int = 50) -> list[str]:
    """Return the first `n` non-empty lines without their line ends."""
    with opened(path) as file:
        lines = (line.rstrip("\r\n") for line in file)
        return list(islice((line for line in lines if line.strip()), n))


def _only_member(archive: zipfile.ZipFile, path: Path) -> IO[bytes]:
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if len(names) != 1:
        raise DataError(
            f"{str(path)!r} contains {len(names)} files; unpack it and name one of them"
        )
    return archive.open(names[0])
