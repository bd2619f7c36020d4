"""Run a script of the project as a user does."""

import os
import subprocess
import sys

from tests.paths import ROOT


def run(script: str, *args) -> subprocess.CompletedProcess:
    """Run scripts/SCRIPT.py in the project's folder; its output is kept as text."""
    return subprocess.run(
        [sys.executable, f"scripts/{script}.py", *map(str, args)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
