"""Put evaluated runs side by side: metrics, differences from the first, and shared edges.

    python scripts/compare.py runs/seed0 runs/seed1 --output=runs/seeds
    python scripts/compare.py old=runs/a new=runs/b --output=runs/old_new

A run is named by its folder, or by NAME=DIR. Written: compare.csv (every metric: each run, mean,
sd, differences from the first run), compare_edges.csv (shared edges of every two runs, against
chance), compare.json (both), compare_edges.png and compare_metrics.png.
"""

from __future__ import annotations

import command_line
from absl import flags

from gpo_vae_jax.evaluate.comparison.compare import read_runs
from gpo_vae_jax.evaluate.comparison.compare_report import write_comparison

OUTPUT = flags.DEFINE_string("output", "comparison", "folder to write to")
DIFFERENT = flags.DEFINE_bool("different_data", False, "compare runs on different data as well")


def compare(specs: list[str]) -> None:
    """Compare, write, and show the main metrics."""
    runs = read_runs(specs, different_data=DIFFERENT.value)
    print("\n".join(write_comparison(runs, OUTPUT.value)))


if __name__ == "__main__":
    command_line.run(compare, takes_words=True)
