"""Known networks as downloaded: text, plain, gzipped or zipped, and the first sheet of an xlsx."""

from __future__ import annotations

import datetime
import gzip
import io
import os
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, TextIO

import pandas as pd

from gpo_vae_jax.errors import DataError

_UTF16 = (b"\xff\xfe", b"\xfe\xff")  # what spreadsheets call Unicode text
_NO_TEXT = {  # what a file starts with -> what it is
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, such as h5ad",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of the old kind (xls)",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
}
_EXPORT = (
    "export or unpack it as text with a line for each edge, parted by tabs (regulator, target), or "
    "save it as xlsx"
)
_PEEK = 512  # bytes, in which binary content shows


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a text file of any compression; an xlsx as the tab-separated text of its first sheet.

    Raises DataError, which names the file and says what it is, if it is anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no file {str(path)!r}")
    try:
        with path.open("rb") as raw:
            start = raw.read(8)
            raw.seek(0)
            binary: Any = raw
            if start[:2] == b"\x1f\x8b":
                binary = gzip.GzipFile(fileobj=raw)
            elif start[:4] == b"PK\x03\x04":
                archive = zipfile.ZipFile(raw)
                if "xl/workbook.xml" in archive.namelist():
                    yield io.StringIO(_first_sheet(path))
                    return
                binary = _only_member(archive, path)
            with io.TextIOWrapper(binary, encoding=_encoding(binary, path), newline=None) as text:
                yield text
    except (OSError, EOFError, UnicodeError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{str(path)!r} cannot be read as text: {error}") from error


def first_lines(path: str | os.PathLike[str], n: int = 50) -> list[str]:
    """Return the first `n` non-empty lines without their line ends."""
    with opened(path) as file:
        lines = (line.rstrip("\r\n") for line in file)
        return list(islice((line for line in lines if line.strip()), n))


def _encoding(binary: Any, path: Path) -> str:
    """Return the encoding of the text, after checking that it is text."""
    start = binary.peek(_PEEK)[:_PEEK]
    if start[:2] in _UTF16:
        return "utf-16"
    what = next((what for sign, what in _NO_TEXT.items() if start.startswith(sign)), "")
    if start[257:262] == b"ustar":
        what = "a tar archive"
    elif b"\0" in start and not what:
        what = "a binary file"
    if what:
        raise DataError(f"{str(path)!r} is {what}, not a table; {_EXPORT}")
    if start.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise DataError(f"{str(path)!r} is a web page, not a table; download the file itself")
    return "utf-8-sig"


def _only_member(archive: zipfile.ZipFile, path: Path) -> IO[bytes]:
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if "content.xml" in names:
        raise DataError(f"{str(path)!r} is an OpenDocument file, not a table; {_EXPORT}")
    names = [name for name in names if not name.startswith("__MACOSX/")]
    if len(names) != 1:
        raise DataError(
            f"{str(path)!r} contains {len(names)} files; unpack it and name one of them"
        )
    return archive.open(names[0])


def _first_sheet(path: Path) -> str:
    """Return the first sheet of an xlsx as tab-separated text (raises DataError)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl, about styles
            table = pd.read_excel(path, header=None, dtype=object, na_filter=False)
    except ImportError as error:
        raise DataError(
            f"{str(path)!r} is a spreadsheet, and reading one needs openpyxl ({error}); "
            "pip install openpyxl, or save the sheet as tab-separated text"
        ) from error
    except Exception as error:  # zipfile, openpyxl and pandas raise many kinds
        raise DataError(
            f"{str(path)!r} is a spreadsheet that cannot be read: {error}; save the sheet as "
            "tab-separated text"
        ) from error
    dates = [v for v in table.to_numpy().ravel() if isinstance(v, datetime.date | datetime.time)]
    if dates:
        raise DataError(
            f"{str(path)!r} is a spreadsheet with dates, such as {dates[0]:%d-%b}: it took genes "
            "such as SEPT2 or MARCH1 for them; correct the names and format the cells as text"
        )
    rows = ("\t".join(" ".join(str(v).split()) for v in row) for row in table.to_numpy())
    return "\n".join(rows) + "\n"
