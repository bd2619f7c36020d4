"""Files are whole or not there."""

import pytest

from gpo_vae_jax.files import write_text, written_beside


def test_finished_file_takes_its_place(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    write_text(tmp_path / "a.txt", "new")
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_after_an_error_what_stood_there_stays(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(OSError, match="disk"), written_beside(tmp_path / "a.txt") as beside:
        beside.write_text("half")
        raise OSError("no space left on disk")
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"
