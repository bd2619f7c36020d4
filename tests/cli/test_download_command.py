"""gpo-vae download; nothing is downloaded."""

import pytest

from tests.running import call


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name what to download: rpe1, replogle, adamson, summary_stats"),
        (["rpe1", "norman"], "there is no data set 'norman'; there are: adamson, replogle, rpe1"),
        (["rpe"], "there is no data set 'rpe'; did you mean 'rpe1'?"),
    ],
)
def test_a_name_is_needed(words, says, tmp_path):
    done = call("download", *words, f"--folder={tmp_path / 'data'}")
    assert (done.status, done.out) == (1, "")
    assert not list(tmp_path.iterdir())
    assert done.err.startswith(f"error: {says}")
    assert done.err.count("\n") == 1


def test_what_is_there_is_not_downloaded_again(tmp_path):
    (tmp_path / "replogle2022_summary_stats.xlsx").write_bytes(b"x" * 2**20)
    done = call("download", "summary_stats", f"--folder={tmp_path}")
    assert done.status == 0, done.err
    assert "already there" in done.out
    assert "(1 MiB)" in done.out
