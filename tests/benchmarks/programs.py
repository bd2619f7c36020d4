"""Programs that speak the protocol of workers, and a way to run a benchmark as its user does."""

from __future__ import annotations

import os
import subprocess
import sys

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


def run(name: str, *options: object, **more) -> subprocess.CompletedProcess[str]:
    """Run `python -m benchmarks.NAME` from the clone's root, torch on one thread."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *map(str, options)]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        **more,
    )
