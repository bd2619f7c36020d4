"""The benchmark of the network's statistics still runs, at its small size."""

import json
import os
import subprocess
import sys

from tests.paths import ROOT


def test_the_small_size(tmp_path):
    target = tmp_path / "result.json"
    command = [sys.executable, "benchmarks/network_stats.py", "--quick", f"--output={target}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(target.read_text())
    assert result["cells"] == 2000 and result["scipy"]["pairs_timed"] == 20
    assert result["scipy"]["edges_and_paths"] >= result["edges"] == 60
    assert max(result["largest_difference"].values()) < 1e-6
    assert result["times_faster"].keys() >= {"edges_alone", "whole_against_edges_and_paths"}
