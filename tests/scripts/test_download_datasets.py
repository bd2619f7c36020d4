"""scripts/download_datasets.py as a user calls it; nothing is downloaded."""

import os
import subprocess
import sys

import pytest

from tests.paths import ROOT


def call(*arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "scripts/download_datasets.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "name what to download: rpe1, replogle, adamson, summary_stats"),
        (["rpe1", "norman"], "there is no data set 'norman'; there are: rpe1, replogle"),
    ],
)
def test_a_name_is_needed(arguments, message, tmp_path):
    done = call(*arguments, f"--folder={tmp_path / 'data'}")
    assert done.returncode == 1 and done.stdout == "" and not list(tmp_path.iterdir())
    assert done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1


def test_what_is_there_is_not_downloaded_again(tmp_path):
    (tmp_path / "replogle2022_summary_stats.xlsx").write_bytes(b"x" * 2**20)
    done = call("summary_stats", f"--folder={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "already there" in done.stdout and "(1 MiB)" in done.stdout
