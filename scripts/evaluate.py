"""Evaluate a trained run: how good it is, against what, and what its network says.

    python scripts/evaluate.py --workdir=runs/demo
    python scripts/evaluate.py --workdir=runs/rpe1 --networks TRRUST=trrust.tsv CORUM=corum.txt

Writes evaluation.json, evaluation.csv, effects.h5ad, grn.csv, edges.csv, regulators.csv,
report.html and plots/ into the run's folder (docs/evaluation.md). Settings: --evaluate.NAME=VALUE
(EvaluateConfig in gpo_vae_jax/config.py), such as --evaluate.memory_gib=8 on a large machine.
"""

from __future__ import annotations

import command_line
from absl import flags
from ml_collections import config_flags

from gpo_vae_jax import config_io
from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.evaluate.evaluation import evaluate_run
from gpo_vae_jax.evaluate.files_out import lines

WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run", required=True)
DATA = flags.DEFINE_string("data", "", "the prepared file, if it is not where it was")
NETWORKS = flags.DEFINE_multi_string("networks", [], "known networks, NAME=FILE, one or more")
OUTPUT = flags.DEFINE_string("output", "", "folder for the results; empty: the run's")
SETTINGS = config_flags.DEFINE_config_dict(
    "evaluate", config_io.to_config_dict(EvaluateConfig()), "settings of the evaluation"
)


def evaluate(words: list[str]) -> None:
    """Evaluate, and show the main numbers."""
    if words and not NETWORKS.value:
        raise ConfigError(f"unexpected arguments: {' '.join(words)}")
    settings = config_io.from_dict(SETTINGS.value.to_dict(), EvaluateConfig, "evaluate")
    evaluation, paths = evaluate_run(
        WORKDIR.value,
        settings,
        networks=[*NETWORKS.value, *words],
        data_path=DATA.value,
        output=OUTPUT.value,
    )
    print("\n".join(lines(evaluation.summary)))
    print("written: " + ", ".join(str(path) for path in paths))


if __name__ == "__main__":
    command_line.run(evaluate, takes_words=True)
