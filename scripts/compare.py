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

from gpo_vae_jax.evaluate.comparison.compare_files import comparison_table, write_comparison
from gpo_vae_jax.runs.compared import compare_folders

OUTPUT = flags.DEFINE_string("output", "comparison", "folder to write to")
DIFFERENT = flags.DEFINE_bool("different_data", False, "compare runs on different data as well")


def compare(specs: list[str]) -> None:
    """Compare, write, and show the main metrics."""
    comparison = compare_folders(specs, different_data=DIFFERENT.value)
    write_comparison(comparison, OUTPUT.value)
    print(comparison_table(comparison))
    print(f"written to {OUTPUT.value}")


if __name__ == "__main__":
    command_line.run(compare, takes_words=True)
