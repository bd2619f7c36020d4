"""The scripts on networks as a user runs them: mistakes are one line."""

import os
import subprocess
import sys

import pytest

from tests.paths import ROOT


@pytest.mark.parametrize(
    ("script", "args", "says"),
    [
        ("export_grn", ["--workdir=nosuch", "--networks=A=nosuch.tsv"], "no file 'nosuch.tsv'"),
        ("compare", ["nosuch"], "there is no folder 'nosuch'"),
        ("compare", [], "two runs or more"),
    ],
)
def test_mistake_is_one_line(script, args, says):
    done = subprocess.run(
        [sys.executable, f"scripts/{script}.py", *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert says in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
