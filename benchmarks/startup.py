"""Measure the start of a run without a cache of compiled programs, and with it cold and warm.

    python -m benchmarks.startup --quick     (fewer cells, a minute)
    python -m benchmarks.startup     (the demo, two minutes on two cores)

Runs the demo preset by the command that a user types, and times it from the start of the process to
the end of its first epoch: imports, simulated data, compilation, one epoch. "Cold" starts with an
empty cache folder and fills it, "warm" is the next start with the same shapes. The result is
printed. Without --quick it also goes into benchmarks/results/startup.json.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import options, results_file
from benchmarks.measuring.summary import ratio, significant, summary, to_stderr
from benchmarks.workers.alternating import environment

CACHE = "GPO_VAE_JAX_CACHE"  # as in gpo_vae_jax/compilation_cache.py
TRAIN = (sys.executable, "-m", "gpo_vae_jax", "train", "--preset=demo",
         "--config.train.max_epochs=1")  # fmt: skip
SMALL = ("--config.simulate.n_cells=600", "--config.simulate.n_genes=40")
POLL_S = 0.005


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and keep the result."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    options.add_rounds(parser, 3)
    options.add_device(parser, precision=False)
    args = options.parsed(parser, arguments)
    command = [*TRAIN, *SMALL * args.quick]
    entry = {
        "preset": "demo",
        "device": args.device,
        **measure(command, args.rounds, args.device),
    }
    results_file.add(results_file.folder_of(args), "startup", entry, ("device",))


def measure(command: Sequence[str], rounds: int, device: str = "cpu") -> dict[str, Any]:
    """Start the command three times a round: without a cache, with an empty one, with a full one.

    Args:
      command: of a training; `--workdir` is added.
    """
    seconds: dict[str, list[float]] = {"off": [], "cold": [], "warm": []}
    epochs: dict[str, list[float]] = {name: [] for name in seconds}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name in seconds:
                cache = "off" if name == "off" else f"{folder}/cache"
                took, epoch = first_epoch(command, Path(folder) / name, cache, device)
                seconds[name].append(took)
                epochs[name].append(epoch)
                to_stderr(f"round {number + 1} of {rounds}, {name}: {took:.3g} s")
    summaries = {f"{name}_s": summary(values) for name, values in seconds.items()}
    return {
        "rounds": rounds,
        **summaries,
        "epoch_s": {name: significant(summary(v)["median"]) for name, v in epochs.items()},
        "times_faster": ratio(summaries["cold_s"], summaries["warm_s"]),
    }


def first_epoch(
    command: Sequence[str], workdir: Path, cache: str, device: str
) -> tuple[float, float]:
    """Start a training; return the seconds until its first epoch has ended, and of that epoch.

    Raises:
      RuntimeError: the command fails, or ends without an epoch.
    """
    inherited = environment(device=device).items()
    chosen = {k: v for k, v in inherited if not k.startswith("JAX_COMPILATION_CACHE")}
    metrics = workdir / "metrics.csv"
    with tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            [*command, f"--workdir={workdir}"],
            env=chosen | {CACHE: cache},
            stdout=said,
            stderr=said,
        )
        took = None
        while process.poll() is None:
            if took is None and _rows(metrics):
                took = time.perf_counter() - start
            time.sleep(POLL_S)
        rows = _rows(metrics)
        if process.returncode or not rows:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{said.read()[-4000:]}")
    return took or time.perf_counter() - start, float(rows[0]["seconds"])


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the finished epochs that a run has written so far."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]


if __name__ == "__main__":
    main()
