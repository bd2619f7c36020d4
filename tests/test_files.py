"""Files are replaced whole or not at all."""

import pytest

from gpo_vae_jax.files import write_text, written_beside


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
