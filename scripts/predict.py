"""Predict cells under perturbations, seen or not, from a run folder and its data.

    python scripts/predict.py --workdir=runs/demo --perturbations G000 G001 G000+G001 \
        --cells 500 --output=prediction.h5ad

A perturbation is the name of a treatment (a row of grn.csv) or several joined by "+"; it need not
be in the data. Writes sampled cells, or with --expected the expected counts of each perturbation
(layer `sd`: their spread over draws), with control cells, ready for cell-eval (docs/data.md).
"""

from __future__ import annotations

import command_line
from absl import flags

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.predict.predicted_cells import Asked, predict_to_file

WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run", required=True)
PERTURBATIONS = flags.DEFINE_list("perturbations", None, "such as A B A+B, or A,B", required=True)
CELLS = flags.DEFINE_integer("cells", 500, "cells of each perturbation", 1)
OUTPUT = flags.DEFINE_string("output", None, "h5ad file to write", required=True)
EXPECTED = flags.DEFINE_bool("expected", False, "expected counts instead of sampled cells")
LIBRARY_SIZE = flags.DEFINE_string("library_size", "10000", "UMI counts of a cell, or 'observed'")
QUALITY = flags.DEFINE_enum("quality", "good", ["good", "bad"], "quality of the cells")
CONTROL = flags.DEFINE_bool("control", True, "control cells as well")
DATA = flags.DEFINE_string("data", "", "the prepared file, if it was moved")
SEED = flags.DEFINE_integer("seed", 0, "of the draws", 0)
MEMORY = flags.DEFINE_float("memory_gib", 2.0, "what one chunk of the work may take", 0.0)


def predict(words: list[str]) -> None:
    """Predict, and say what each perturbation is to the model."""
    words = [name for word in [*PERTURBATIONS.value, *words] for name in word.split(",") if name]
    asked = Asked(
        n_cells=CELLS.value,
        expected=EXPECTED.value,
        library_size=library_size(LIBRARY_SIZE.value),
        failed=QUALITY.value == "bad",
        control=CONTROL.value,
        seed=SEED.value,
        memory_gib=MEMORY.value,
    )
    print("\n".join(predict_to_file(WORKDIR.value, words, OUTPUT.value, asked, DATA.value)))


def library_size(text: str) -> float | None:
    """Read --library_size; None is "observed"."""
    if text == "observed":
        return None
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not 0 < size < float("inf"):
        raise ConfigError(f"--library_size={text!r} must be a positive number, or 'observed'")
    return size


if __name__ == "__main__":
    command_line.run(predict, takes_words=True)
