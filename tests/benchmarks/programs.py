"""Run a benchmark as its user does: as a program, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

FAKE_TORCH = """
import json, sys
print(json.dumps({"ready": True, "compile_s": None, "versions": {"torch": "0"}}), flush=True)
for line in sys.stdin:
    if json.loads(line).get("stop"):
        break
    print(json.dumps({"seconds": [0.5] * json.loads(line)["steps"], "loss": 1.0}), flush=True)
print(json.dumps({"peak_gib": 100.0}), flush=True)
"""


def run(program: str, *options: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
    """Run benchmarks/`program` and check how it ended."""
    done = subprocess.run(
        [sys.executable, f"benchmarks/{program}", *map(str, options)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done


def entries(folder: Path, name: str) -> list[dict]:
    """Read a file of results."""
    return json.loads((folder / f"{name}.json").read_text())
