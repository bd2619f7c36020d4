"""Kill a training at random moments, resume it, and compare with the uninterrupted run.

    python -m tests.endurance.killed [--kills 60]

Each run is a process that saves after every epoch. It is killed with SIGKILL after a random time,
which may lie in its start, in an epoch or in a save, and started again with the same command, until
it has been killed often enough; then it may finish. Its parameters and its metrics must be those of
the run that nobody killed, bit for bit.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.endurance.damaged import equal, facts
from tests.paths import ROOT

EPOCHS = 60
MOST = 4  # kills of one run


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill, compare, print the counts; return 1 if any run differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for name in ("first", "whole"):  # the first compiles
            begun = time.monotonic()
            assert started(folder / name).wait() == 0
            seconds = time.monotonic() - begun
        expected = facts(folder / "whole")
        exact = kills = runs = 0
        moments = {"start": 0, "epochs": 0}
        while kills < args.kills:
            run, done = folder / f"run{runs}", 0
            while done < MOST:
                process = started(run)
                time.sleep(rng.uniform(0, seconds))
                if process.poll() is not None:
                    break  # it has finished before it could be killed
                moments["epochs" if (run / "metrics.csv").exists() else "start"] += 1
                process.send_signal(signal.SIGKILL)
                process.wait()
                done += 1
            kills += done
            status = started(run).wait()
            same = status == 0 and all(map(equal, facts(run), expected))
            exact += same
            print(f"run {runs}: {done} kills, {'exact' if same else 'DIFFERENT'}", flush=True)
            runs += 1
        print(f"{runs} runs, {kills} kills ({moments}): {exact} exact")
    return int(exact != runs)


def started(run: Path) -> subprocess.Popen:
    """Start the training, or go on with it, in a process of its own."""
    script = ROOT / "tests" / "runs" / "run_tiny.py"
    return subprocess.Popen(
        [sys.executable, script, run, str(EPOCHS), "--resume"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    sys.exit(main())
