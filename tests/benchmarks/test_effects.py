"""The benchmark of treatment effects still runs, at a small size."""

import json
import os
import subprocess
import sys

from tests.paths import ROOT


def test_the_small_size(tmp_path):
    target = tmp_path / "result.json"
    command = [sys.executable, "benchmarks/effects.py", "--quick", "--genes=20"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, f"--output={target}"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(target.read_text())
    assert result["perturbations"] == 383 and result["counts_drawn"] == 50 * 384 * 20
    assert result["peak_gib"] < 8
