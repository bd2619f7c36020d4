"""The notebooks run from top to bottom: the documentation shows what they print."""

import os
import subprocess
import sys

import pytest

from tests.paths import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_as_a_script(notebook, tmp_path):
    env = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    env.pop("XLA_FLAGS", None)  # they run for longer than they compile, and share the programs
    ended = subprocess.run(
        [sys.executable, str(notebook)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]


def test_there_are_two():
    assert len(NOTEBOOKS) == 2


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_in_percent_format_and_listed(notebook):
    text = notebook.read_text()
    assert text.startswith("# %% [markdown]\n# # ")
    assert f"notebooks/{notebook.stem}" in (ROOT / "docs" / "index.md").read_text()
