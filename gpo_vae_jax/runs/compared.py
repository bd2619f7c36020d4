"""From folders of evaluated runs to a comparison."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.evaluate import file_names
from gpo_vae_jax.evaluate.comparison.compare import Comparison, EvaluatedRun, compare


def compare_folders(words: Sequence[str], *, different_data: bool = False) -> Comparison:
    """Compare evaluated runs, each given as DIR or NAME=DIR.

    Args:
      words: two or more; without a name a run is called like its folder.
      different_data: whether runs on different data may be compared.

    Raises:
      ConfigError: there are fewer than two, or two have one name.
      DataError: a folder cannot be read, or the runs differ in treatments or in data.
    """
    return compare(read_runs(words), different_data=different_data)


def read_runs(words: Sequence[str]) -> list[EvaluatedRun]:
    """Read evaluated runs, each given as DIR or NAME=DIR (see `read_evaluated`)."""
    return [read_evaluated(word) for word in words]


def read_evaluated(word: str) -> EvaluatedRun:
    """Read the evaluation in a folder, given as DIR or NAME=DIR.

    Raises:
      DataError: the folder is missing, lacks a file (the message names the command that writes
        it), or contains a file that cannot be read.
    """
    name, equals, folder = word.partition("=")
    if not equals or Path(word).is_dir():
        name, folder = Path(word).name or word, word
    path = Path(folder)
    if not path.is_dir():
        raise DataError(f"run {name}: there is no folder {folder!r}")
    commands = {
        file_names.EVALUATION: f"was not evaluated: gpo-vae evaluate --workdir={folder}",
        file_names.PROBABILITIES: f"has no network: gpo-vae export-grn --workdir={folder}",
    }
    for file, problem in commands.items():
        if not (path / file).is_file():
            raise DataError(f"run {name}: {folder} {problem}")
    try:
        summary = json.loads((path / file_names.EVALUATION).read_text(encoding="utf-8"))
        matrix = pd.read_csv(
            path / file_names.PROBABILITIES, dtype={0: str}, keep_default_na=False, na_values={}
        ).set_index("source")
        treatments = [str(treatment) for treatment in matrix.index]
        probabilities: np.ndarray = np.asarray(matrix[treatments], float)
        return EvaluatedRun(
            name=name,
            summary=summary,
            treatments=tuple(treatments),
            n_perturbed=int(summary["run"]["data"]["n_perturbed"]),
            probabilities=probabilities,
            folder=folder,
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"run {name}: a file in {folder} cannot be read: {error!r}") from error
