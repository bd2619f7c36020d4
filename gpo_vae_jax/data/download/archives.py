"""Downloaded zip and tar archives, read without trusting their contents."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from gpo_vae_jax.errors import DataError

_HDF5 = b"\x89HDF\r\n\x1a\n"
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError)


class Member(NamedTuple):
    """A file in an archive."""

    path: str  # inside the archive; "": the download is the file itself
    size: int

    @property
    def name(self) -> str:
        """Return the file name without folders."""
        return self.path.replace("\\", "/").split("/")[-1]


def kind(path: Path) -> str:
    """Return the type of a file by its first bytes: .h5ad, .xlsx, .zip, .tar, or "" (unknown)."""
    with path.open("rb") as file:
        start = file.read(len(_HDF5))
    if start == _HDF5:
        return ".h5ad"
    if start.startswith(b"PK") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            return ".xlsx" if "xl/workbook.xml" in file.namelist() else ".zip"
    return ".tar" if tarfile.is_tarfile(path) else ""


def members(path: Path) -> list[Member]:
    """List the files of an archive; a single one without a path if the file is not an archive.

    Raises DataError for an unknown type, a broken archive, and an archive of which any member could
    be written outside the folder: an absolute path, "..", a link, a device.
    """
    what = kind(path)
    if what in (".h5ad", ".xlsx"):
        return [Member("", path.stat().st_size)]
    try:
        if what == ".zip":
            with zipfile.ZipFile(path) as file:
                found = [(m.filename, m.file_size, _zip_type(m)) for m in file.infolist()]
        elif what == ".tar":
            with tarfile.open(path) as file:
                found = [(m.name, m.size, _tar_type(m)) for m in file]
        else:
            raise DataError(
                "the download is not an archive, h5ad or workbook (it starts with "
                f"{path.read_bytes()[:40]!r}); the link may be dead or over its quota"
            )
    except _BROKEN as error:
        raise DataError(f"the archive is broken ({error})") from error
    for name, _, type_ in found:
        leaves = _leaves(name)
        if leaves or type_ not in ("file", "folder"):
            raise DataError(f"the archive is not safe: {name!r} is {leaves or f'a {type_}'}")
    return [Member(name, size) for name, size, type_ in found if type_ == "file"]


@contextmanager
def opened(path: Path, member: Member) -> Generator[IO[bytes], None, None]:
    """Open a member for reading; a broken archive raises DataError, even while it is read."""
    try:
        if not member.path:
            with path.open("rb") as stream:
                yield stream
        elif kind(path) == ".zip":
            with zipfile.ZipFile(path) as file, file.open(member.path) as stream:
                yield stream
        else:
            with tarfile.open(path) as file:
                stream = file.extractfile(member.path)
                if stream is None:
                    raise DataError(f"{member.path!r} is not a file")
                yield stream
    except _BROKEN as error:
        raise DataError(f"the archive is broken ({error})") from error


def _leaves(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or (path.parts and path.parts[0].endswith(":")):
        return "an absolute path"
    return "a path with '..'" if ".." in path.parts else ""


def _zip_type(member: zipfile.ZipInfo) -> str:
    mode = member.external_attr >> 16
    if member.is_dir():
        return "folder"
    if stat.S_IFMT(mode) in (0, stat.S_IFREG):
        return "file"
    return "link" if stat.S_ISLNK(mode) else "device"


def _tar_type(member: tarfile.TarInfo) -> str:
    if member.isdir():
        return "folder"
    if member.isreg():
        return "file"
    return "link" if member.issym() or member.islnk() else "device"
