"""Predictions from a run folder into a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gpo_vae_jax import data
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.predict.perturbation_names import read_perturbations
from gpo_vae_jax.predict.predicted_cells import PredictionRequest, predict_cells
from gpo_vae_jax.runs.saved import load_with_data


def predict_to_file(
    workdir: str | Path,
    words: Sequence[str],
    output: str | Path,
    request: PredictionRequest,
    data_path: str = "",
) -> list[str]:
    """Predict from a run folder and its data into an h5ad file; return lines for a terminal.

    Raises:
      TrainingError: the folder holds no finished checkpoint.
      DataError: a perturbation is unknown, or the data or the output file cannot be used.
    """
    check_output(output)
    trained, dataset = load_with_data(workdir, data_path)
    source = trained.config.data.path
    if source and Path(output).exists() and Path(output).samefile(source):
        raise DataError(f"output: {str(output)!r} is the data of the run; name another file")
    masked = trained.config.data.mask_test
    perturbations = read_perturbations(words, dataset, masked=masked)
    adata = predict_cells(trained, dataset, words, request)
    data.write(adata, output)
    what = "sampled cells"
    if request.expected:
        what = f"expected counts (means of {request.n_cells} draws)"
    return [
        *(f"{one.label}: {one.kind}" for one in perturbations),
        f"{output}: {adata.n_obs} x {adata.n_vars}, {what}",
    ]


def check_output(output: str | Path) -> None:
    """Check that a file can be written there, before any work (raises DataError)."""
    path = Path(output).absolute()
    if path.is_dir():
        raise DataError(f"output: {str(output)!r} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise DataError(f"output: the folder {str(path.parent)!r} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"output: the folder {str(path.parent)!r} cannot be written to")
