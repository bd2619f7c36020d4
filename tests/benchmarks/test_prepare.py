"""The benchmark of the preparation still runs, at its small size."""

import json
import os
import subprocess
import sys

from tests.paths import ROOT


def test_the_small_size(tmp_path):
    target = tmp_path / "result.json"
    command = [sys.executable, "benchmarks/prepare.py", "--quick", "--only", "whole"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, f"--output={target}"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(target.read_text())
    measured = result["preparation"]
    assert measured["within_limit"] and measured["cells"] == 4000
    assert {"extended genes", "counterfactuals", "control matching"} <= set(measured["stages_s"])
    assert result["machine"]["versions"]["numpy"]
