"""Predictions from a run folder into a file."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from gpo_vae_jax import data
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.evaluate.effects.profile_scores import SCORES, profile_scores
from gpo_vae_jax.predict.cell_eval_pair import PERTURBATION, cell_eval_pair
from gpo_vae_jax.predict.perturbation_names import read_perturbations
from gpo_vae_jax.predict.predicted_cells import PredictionRequest, predict_cells
from gpo_vae_jax.runs.saved import load_with_data

PREDICTED_CELLS = "predicted_cells.h5ad"
REAL_CELLS = "real_cells.h5ad"


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


def predict_for_cell_eval(
    workdir: str | Path,
    folder: str | Path,
    *,
    data_path: str = "",
    seed: int = 0,
    memory_gib: float = 2.0,
) -> list[str]:
    """Write predicted and real test cells into a folder; return lines for a terminal.

    The lines say what was written, the scores of mean profiles, and the command that runs cell-eval
    on both files.

    Raises:
      TrainingError: the folder of the run holds no finished checkpoint.
      DataError: the data or the output cannot be used, or there are no test cells to predict.
    """
    folder = Path(folder)
    check_folder(folder)
    trained, dataset = load_with_data(workdir, data_path)
    source = trained.config.data.path
    paths = [folder / name for name in (PREDICTED_CELLS, REAL_CELLS)]
    for path in paths:
        if source and path.exists() and path.samefile(source):
            raise DataError(f"output: {str(path)!r} is the data of the run; name another folder")
    pair = cell_eval_pair(trained, dataset, seed=seed, memory_gib=memory_gib)
    folder.mkdir(exist_ok=True)
    for path, adata in zip(paths, (pair.predicted, pair.real), strict=True):
        data.write(adata, path)
    mean = profile_scores(pair.predicted, pair.real, pair.control)[list(SCORES)].mean()
    command = ["cell-eval", "run", "-ap", str(paths[0]), "-ar", str(paths[1])]
    command += ["--control-pert", pair.control, "--pert-col", PERTURBATION]
    command += ["--outdir", str(folder / "cell-eval")]
    n_perturbed = pair.real.obs[PERTURBATION].nunique() - 1
    return [
        f"{paths[0]}: {pair.predicted.n_obs} x {pair.predicted.n_vars}, predicted cells",
        f"{paths[1]}: {pair.real.n_obs} x {pair.real.n_vars}, test cells",
        f"{n_perturbed} perturbations and the control {pair.control!r}; both files hold "
        f"log(1 + counts scaled to {pair.target_sum:g})",
        *(f"note: {note}" for note in pair.notes),
        "mean profiles: " + ", ".join(f"{name} {mean[name]:.4g}" for name in SCORES),
        "for all metrics of cell-eval:",
        f"  {shlex.join(command)}",
    ]


def check_folder(folder: Path) -> None:
    """Check that files can be written into a folder, or that it can be made (raises DataError)."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"output: {str(folder)!r} is a file; name a folder for the two files")
    if not folder.exists():
        check_output(folder)
    elif not os.access(folder, os.W_OK):
        raise DataError(f"output: the folder {str(folder)!r} cannot be written to")


def check_output(output: str | Path) -> None:
    """Check that a file can be written there, before any work (raises DataError)."""
    path = Path(output).absolute()
    if path.is_dir():
        raise DataError(f"output: {str(output)!r} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise DataError(f"output: the folder {str(path.parent)!r} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"output: the folder {str(path.parent)!r} cannot be written to")
