"""Downloads, without a network."""

import io
import sys
import tarfile
import types
import zipfile

import anndata
import numpy as np
import pytest

from gpo_vae_jax.data.download import archives
from gpo_vae_jax.data.download import sources as download
from gpo_vae_jax.errors import DataError

FIRST, SECOND = download.SOURCES["rpe1"].ids


@pytest.fixture(scope="module")
def h5ad(tmp_path_factory):
    path = tmp_path_factory.mktemp("h5ad") / "rpe1.h5ad"
    anndata.AnnData(np.random.default_rng(0).random((600, 300))).write_h5ad(path)
    return path.read_bytes()


def make_zip(*files, **link):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in files:
            file.writestr(name, content)
        for name, target in link.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16
            file.writestr(info, target)
    return stream.getvalue()


def make_tar(*members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as file:
        for name, type_, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = type_, len(content), "/etc/passwd"
            file.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def workbook(sheet=b"x" * 20_000):
    return make_zip(("[Content_Types].xml", "<a/>"), ("xl/workbook.xml", "<a/>"), ("s", sheet))


def sending(**contents):
    """Return a download function that writes these bytes, and the ids it was called with."""
    asked = []

    def send(file_id, target):
        asked.append(file_id)
        content = contents[file_id]
        if isinstance(content, Exception):
            raise content
        target.write_bytes(content)

    return send, asked


@pytest.mark.parametrize("form", ["zip", "tar", "the file itself"])
def test_the_file_of_a_data_set_is_put_into_the_folder(tmp_path, h5ad, form):
    sent = {
        "zip": lambda: make_zip(
            ("all/Replogle_RPE1.h5ad", h5ad), ("k562.h5ad", b""), ("__MACOSX/._rpe1.h5ad", b"x")
        ),
        "tar": lambda: make_tar(
            ("./all", tarfile.DIRTYPE, b""), ("./all/Replogle_RPE1.h5ad", tarfile.REGTYPE, h5ad)
        ),
        "the file itself": lambda: h5ad,
    }[form]()
    send, asked = sending(**{FIRST: sent})
    said = []
    (path,) = download.fetch("rpe1", tmp_path / "data", send, said.append)
    assert path.name == ("rpe1.h5ad" if form == "the file itself" else "Replogle_RPE1.h5ad")
    assert path.read_bytes() == h5ad and list(path.parent.iterdir()) == [path]
    assert download.fetch("rpe1", tmp_path / "data", send, said.append) == [path]
    assert asked == [FIRST] and said[-1].startswith("already there")


@pytest.mark.parametrize("packed", [False, True])
def test_the_workbook_gets_the_name_the_configurations_use(tmp_path, packed):
    content = make_zip(("tables/mmc2.xlsx", workbook())) if packed else workbook()
    send, _ = sending(**{download.SOURCES["summary_stats"].ids[0]: content})
    (path,) = download.fetch("summary_stats", tmp_path, send)
    assert path.name == "replogle2022_summary_stats.xlsx" and path.read_bytes() == workbook()


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("rpe1", ["replogle_rpe1_raw.h5ad"]),
        ("replogle", ["K562_essential.h5ad", "replogle.h5ad"]),
        ("adamson", ["adamson_k562.h5ad"]),
    ],
)
def test_each_data_set_takes_its_own_files_of_one_archive(tmp_path, h5ad, name, files):
    every = ["replogle_rpe1_raw.h5ad", "K562_essential.h5ad", "replogle.h5ad", "adamson_k562.h5ad"]
    send, _ = sending(**{FIRST: make_zip(*((f, h5ad) for f in every), ("notes.txt", b""))})
    found = download.fetch(name, tmp_path, send)
    assert [path.name for path in found] == files


UNSAFE = {
    "absolute": make_zip(("/tmp/rpe1.h5ad", b"x")),
    "windows": make_zip(("C:\\rpe1.h5ad", b"x")),
    "parent": make_zip(("a/../../rpe1.h5ad", b"x")),
    "backslashes": make_zip(("..\\rpe1.h5ad", b"x")),
    "link in a zip": make_zip(**{"rpe1.h5ad": "/etc/passwd"}),
    "parent in a tar": make_tar(("../rpe1.h5ad", tarfile.REGTYPE, b"x")),
    "absolute in a tar": make_tar(("/rpe1.h5ad", tarfile.REGTYPE, b"x")),
    "symbolic link": make_tar(("rpe1.h5ad", tarfile.SYMTYPE, b"")),
    "hard link": make_tar(("rpe1.h5ad", tarfile.LNKTYPE, b"")),
    "device": make_tar(("rpe1.h5ad", tarfile.CHRTYPE, b"")),
    "pipe": make_tar(("rpe1.h5ad", tarfile.FIFOTYPE, b"")),
}


@pytest.mark.parametrize("what", UNSAFE)
def test_an_archive_that_leaves_the_folder_is_refused_whole(tmp_path, what):
    folder = tmp_path / "data"
    send, asked = sending(**{FIRST: UNSAFE[what], SECOND: UNSAFE[what]})
    with pytest.raises(DataError, match=r"the archive is not safe.*(path|link|device)"):
        download.fetch("rpe1", folder, send)
    assert asked == [FIRST, SECOND]
    assert not list(folder.iterdir()) and list(tmp_path.iterdir()) == [folder]


def test_members_that_are_not_wanted_are_checked_as_well(tmp_path, h5ad):
    bad = make_zip(("rpe1.h5ad", h5ad), ("../.bashrc", b"x"))
    send, _ = sending(**{FIRST: bad, SECOND: bad})
    with pytest.raises(DataError, match=r"not safe: '../.bashrc'"):
        download.fetch("rpe1", tmp_path, send)
    assert not list(tmp_path.iterdir())


USELESS = {
    "a page": (b"<!DOCTYPE html><title>Quota exceeded", "not an archive.*Quota.*dead or over"),
    "nothing": (b"", "not an archive"),
    "other files": (make_zip(("a.txt", b"x"), ("b.csv", b"y")), "archive contains: a.txt, b.csv"),
    "two of a name": (
        make_zip(("a/rpe1.h5ad", b"x"), ("b/rpe1.h5ad", b"y")), "several files of one name"
    ),
    "too small": (make_zip(("rpe1.h5ad", b"x" * 1000)), "only 1000 bytes"),
    "no h5ad": (make_zip(("rpe1.h5ad", b"x" * (2 << 20))), "not a .h5ad file"),
    "a broken h5ad": (
        make_zip(("rpe1.h5ad", b"\x89HDF\r\n\x1a\n" + b"x" * (2 << 20))), "cannot be read as h5ad"
    ),
    "a broken zip": (make_zip(("rpe1.h5ad", b"x" * 5000))[:3000], "not an archive"),
    "a broken tar": (
        make_tar(("rpe1.h5ad", tarfile.REGTYPE, np.random.default_rng(0).bytes(1 << 21)))[:9999],
        "broken|bytes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", USELESS)
def test_where_one_link_gives_nothing_the_next_is_tried(tmp_path, h5ad, what):
    content, reason = USELESS[what]
    send, asked = sending(**{FIRST: content, SECOND: make_zip(("rpe1.h5ad", h5ad))})
    said = []
    (path,) = download.fetch("rpe1", tmp_path, send, said.append)
    assert path.read_bytes() == h5ad and asked == [FIRST, SECOND]
    assert list(tmp_path.iterdir()) == [path]
    send, _ = sending(**{FIRST: content, SECOND: DataError("the link is dead")})
    path.unlink()
    with pytest.raises(DataError, match=f"(?s){reason}.*link is dead.*by hand from figshare"):
        download.fetch("rpe1", tmp_path, send)
    assert not list(tmp_path.iterdir())


def test_an_empty_h5ad(tmp_path):
    path = tmp_path / "rpe1.h5ad"
    anndata.AnnData(np.zeros((0, 3))).write_h5ad(path)
    with pytest.raises(DataError, match="0 cells and 3 genes"):
        download.check_file(path, ".h5ad", 10)


def test_a_full_disk_keeps_the_archive(tmp_path, h5ad, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=10))
    send, _ = sending(**{FIRST: make_zip(("rpe1.h5ad", h5ad)), SECOND: DataError("dead")})
    with pytest.raises(DataError, match=r"unpacking needs .* free some space"):
        download.fetch("rpe1", tmp_path, send)
    assert [path.name for path in tmp_path.iterdir()] == [f"{FIRST}.download"]


def test_a_name_that_is_no_data_set(tmp_path):
    with pytest.raises(DataError, match="no data set 'norman'; there are: rpe1, replogle"):
        download.fetch("norman", tmp_path)


class Dead(Exception):
    """A fake of gdown's error."""


@pytest.fixture
def gdown(monkeypatch):
    """Install a fake gdown whose `download` each test sets."""
    module = types.ModuleType("gdown")
    module.exceptions = types.SimpleNamespace(FileURLRetrievalError=Dead)
    monkeypatch.setitem(sys.modules, "gdown", module)
    return module


def test_gdown_is_asked_to_go_on_where_it_was(gdown, tmp_path):
    def get(*, id, output, resume):
        assert resume and id == "abc" and output == str(tmp_path / "a")
        (tmp_path / "a").write_bytes(b"x")
        return output

    gdown.download = get
    download.download_from_drive("abc", tmp_path / "a")


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Dead("Cannot retrieve\n the link"), "the link is dead.*Cannot retrieve the link"),
        (ConnectionError("reset"), "reset; the partial file is kept: run this again"),
        (None, "the link leads to no file"),
    ],
)
def test_what_gdown_runs_into(gdown, tmp_path, outcome, reason):
    def get(**_):
        if outcome is None:
            return None
        raise outcome

    gdown.download = get
    with pytest.raises(DataError, match=reason):
        download.download_from_drive("abc", tmp_path / "a")


def test_without_gdown(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(DataError, match=r"pip install 'gpo-vae-jax\[download\]'"):
        download.download_from_drive("abc", tmp_path / "a")


def test_kinds_of_files(tmp_path, h5ad):
    path = tmp_path / "file"
    for content, kind in (
        (h5ad, ".h5ad"),
        (workbook(), ".xlsx"),
        (make_zip(("a", b"x")), ".zip"),
        (make_tar(("a", tarfile.REGTYPE, b"x")), ".tar"),
        (b"PK and no more", ""),
        (b"", ""),
    ):
        path.write_bytes(content)
        assert archives.kind(path) == kind
