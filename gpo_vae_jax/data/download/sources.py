"""The published data sets and how to get them: download, inspect, unpack safely, check."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gpo_vae_jax.data.download import archives
from gpo_vae_jax.errors import DataError, listed

Download = Callable[[str, Path], None]  # (id, file to write): complete, or it raises DataError


class Source(NamedTuple):
    """Where a data set is, and how to recognise its files."""

    ids: tuple[str, ...]  # on Google Drive, tried in this order
    file_pattern: str  # of the names of the wanted files; case is ignored
    least_bytes: int  # a smaller file is not the data
    by_hand: str  # where else the data is
    rename: str = ""  # new name of the file; empty: its own


_PUBLISHED = (
    "1OIi1Z3fiw8yKbzarLXMlxy5tJRm1w8Rx",  # first published
    "1gpnjtKYLAsyGrPqGT8NbTcvx2tiLowXN",  # current
)
_REPLOGLE = "figshare, https://doi.org/10.25452/figshare.plus.20029387"
SOURCES = {
    "rpe1": Source(
        _PUBLISHED, r"rpe1.*\.h5ad$", 1 << 20, f"{_REPLOGLE} (raw single-cell h5ad of RPE1)"
    ),
    "replogle": Source(
        _PUBLISHED,
        r"^(?!.*(rpe1|adamson)).*(k562|replogle).*\.h5ad$",
        1 << 20,
        f"{_REPLOGLE} (raw single-cell h5ad of K562 essential)",
    ),
    "adamson": Source(
        _PUBLISHED, r"adamson.*\.h5ad$", 1 << 20, "GEO, GSE90546, or in scPerturb's collection"
    ),
    "summary_stats": Source(
        ("1C7vGxYqT-UvN1o_aYpVOcJXTDuJmH-lg",),
        r"\.xlsx$",
        1 << 14,
        "the supplementary tables of https://doi.org/10.1016/j.cell.2022.05.013",
        rename="replogle2022_summary_stats.xlsx",
    ),
}


def fetch(
    name: str,
    folder: str | os.PathLike[str],
    download: Download | None = None,
    progress: Callable[[str], None] = lambda said: None,
) -> list[Path]:
    """Download a data set into `folder` and return the paths of its files.

    Files that are already there are kept. An interrupted download is resumed by the next call.

    Args:
      name: of the data set, a key of `SOURCES`.
      folder: created if it does not exist.
      download: (id, path) -> None, writes a complete file or raises DataError; by default
        `download_from_drive`.
      progress: called with one line per step.

    Raises:
      DataError: no link works, an archive is unsafe or lacks the files, or the disk is full.
    """
    if name not in SOURCES:
        raise DataError(f"there is no data set {name!r}; there are: {', '.join(SOURCES)}")
    source, folder = SOURCES[name], Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the folder {str(folder)!r} cannot be created: {error}") from error
    have = _already_there(source, folder)
    if have:
        progress(f"already there: {', '.join(map(str, have))}")
        return have
    problems = []
    for file_id in source.ids:
        archive = folder / f"{file_id}.download"
        progress(f"downloading {file_id} to {archive}")
        try:
            (download or download_from_drive)(file_id, archive)
            files = unpack(archive, folder, name)
        except DataError as error:
            problems.append(f"{file_id}: {error}")
            progress(f"failed: {error}")
            continue
        archive.unlink()
        return files
    raise DataError(
        f"{name} could not be downloaded: {'; '.join(problems)}; if this persists, download it by "
        f"hand from {source.by_hand} into {str(folder)!r}"
    )


def download_from_drive(file_id: str, target: Path) -> None:
    """Download a file from Google Drive with gdown, resuming an interrupted download.

    Raises DataError if the link is dead or the download fails.
    """
    try:
        import gdown
    except ImportError as error:
        raise DataError("gdown is not installed: pip install 'gpo-vae-jax[download]'") from error
    try:
        written = gdown.download(id=file_id, output=str(target), resume=True)
    except gdown.exceptions.FileURLRetrievalError as error:
        raise DataError(f"the link is dead, private or over its quota: {_line(error)}") from error
    except Exception as error:  # requests, urllib3 and the file system raise many kinds
        raise DataError(
            f"{_line(error)}; the partial file is kept: run this again to resume"
        ) from error
    if written is None or not target.is_file():
        raise DataError("the link leads to no file")


def unpack(archive: Path, folder: Path, name: str) -> list[Path]:
    """Extract a data set's files from a zip or tar, or move the download itself, into `folder`.

    Files appear complete and checked, or not at all. An archive that cannot be used is deleted, so
    that the next download starts afresh, unless only the disk was full. Raises DataError.
    """
    source = SOURCES[name]
    try:
        members = archives.members(archive)
        if len(members) == 1 and not members[0].path:  # not an archive
            wanted = [(members[0], source.rename or f"{name}{archives.kind(archive)}")]
        else:
            found = [m for m in members if re.search(source.file_pattern, m.name, re.IGNORECASE)]
            wanted = [(m, source.rename or m.name) for m in found if not m.name.startswith("._")]
        if not wanted or len({new_name for _, new_name in wanted}) < len(wanted):
            inside = listed(member.path for member in members) or "nothing"
            much = "several files of one name match" if wanted else "no file matches"
            raise DataError(f"{much} {source.file_pattern!r}; the archive contains: {inside}")
        _check_space(sum(member.size for member, _ in wanted), folder)
        return [_take(archive, m, folder / new, source) for m, new in wanted]
    except _DiskFull:
        raise
    except DataError:
        archive.unlink(missing_ok=True)
        raise


def check_file(path: Path, kind: str, least_bytes: int) -> None:
    """Raise DataError for a file that is too small or not of the given kind (".h5ad", ".xlsx")."""
    size = path.stat().st_size
    if size < least_bytes:
        raise DataError(f"it has only {size} bytes; at least {least_bytes} are expected")
    if archives.kind(path) != kind:
        raise DataError(f"it is not a {kind} file")
    if kind == ".h5ad":
        import anndata

        try:
            adata = anndata.read_h5ad(path, backed="r")
            shape = adata.shape
            adata.file.close()
        except Exception as error:  # h5py and anndata raise many kinds
            raise DataError(f"it cannot be read as h5ad: {_line(error)}") from error
        if 0 in shape:
            raise DataError(f"it has {shape[0]} cells and {shape[1]} genes")


class _DiskFull(DataError):
    pass


def _already_there(source: Source, folder: Path) -> list[Path]:
    pattern = f"^{re.escape(source.rename)}$" if source.rename else source.file_pattern
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    return [path for path in files if re.search(pattern, path.name, re.IGNORECASE)]


def _check_space(needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise _DiskFull(
            f"unpacking needs {needed / 2**30:.1f} GiB, but {free / 2**30:.1f} GiB are free; free "
            "some space and run this again"
        )


def _take(archive: Path, member: archives.Member, target: Path, source: Source) -> Path:
    """Extract one member to `target`: next to it first, checked, then renamed."""
    part = target.with_name(f".{target.name}.part")
    try:
        with archives.opened(archive, member) as stream, part.open("wb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
        if part.stat().st_size != member.size:
            raise DataError(f"{member.path}: {part.stat().st_size} of {member.size} bytes")
        check_file(part, target.suffix, source.least_bytes)
        os.replace(part, target)
    except DataError as error:
        raise DataError(f"{member.path or target.name}: {error}") from error
    except OSError as error:
        raise _DiskFull(f"{str(target)!r} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
