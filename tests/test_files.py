"""Files are replaced whole or not at all."""

import errno

import pytest

from gpo_vae_jax.files import _host, folder_written_beside, write_text, written_beside


def test_finished_file_takes_its_place(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    write_text(tmp_path / "a.txt", "new")
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    def write_half():
        with written_beside(tmp_path / "a.txt") as beside:
            beside.write_text("half")
            raise OSError("no space left on disk")

    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(OSError, match="disk"):
        write_half()
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_folder_takes_the_place_of_the_old_one(tmp_path):
    for text in ("old", "new"):
        with folder_written_beside(tmp_path / "a") as beside:
            (beside / f"{text}.txt").write_text(text)
    assert [p.name for p in tmp_path.rglob("*")] == ["a", "new.txt"]


def test_an_error_leaves_the_old_folder(tmp_path):
    with folder_written_beside(tmp_path / "a") as beside:
        (beside / "old.txt").write_text("old")

    def write_half():
        with folder_written_beside(tmp_path / "a") as beside:
            (beside / "half.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert [p.name for p in tmp_path.rglob("*")] == ["a", "old.txt"]


def test_what_a_dead_process_of_this_machine_left_is_removed(tmp_path):
    here = _host()
    dead = tmp_path / f".a.{here}.999999999.part"
    others = [
        tmp_path / name
        for name in (
            f".a.{here}.1.part",
            ".a.elsewhere.999999999.part",
            f".b.{here}.999999999.part",
        )
    ]
    for left in (dead, *others):
        left.mkdir()
    with folder_written_beside(tmp_path / "a"):
        pass
    assert set(tmp_path.iterdir()) == {*others, tmp_path / "a"}


def test_an_error_of_the_disk_names_the_path(tmp_path):
    with (
        pytest.raises(OSError, match=r"No space left on device.*table\.csv"),
        written_beside(tmp_path / "table.csv"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []
