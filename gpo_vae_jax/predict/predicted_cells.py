"""Predictions of cells under perturbations, seen or not, as AnnData."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from gpo_vae_jax import __version__, data
from gpo_vae_jax.predict import sampling
from gpo_vae_jax.predict.library_sizes import observed_library_sizes
from gpo_vae_jax.predict.perturbation_names import (
    Perturbation,
    control_of,
    read_perturbations,
)
from gpo_vae_jax.predict.sampling import Chunk, Draw
from gpo_vae_jax.runs.opened_run import OpenedRun, open_run
from gpo_vae_jax.types import Dataset

RECORD = "gpo_vae_prediction"  # the entry of uns that describes the prediction


class Asked(NamedTuple):
    """Say how cells are predicted."""

    n_cells: int = 500  # of each perturbation; behind each mean, where `expected`
    expected: bool = False  # expected counts, one row a perturbation, instead of sampled cells
    library_size: float | None = 10_000.0  # None: those of good training cells
    failed: bool = False  # cells of failed quality instead of good ones
    control: bool = True  # control cells as well
    seed: int = 0
    memory_gib: float = 2.0


def predict_to_file(
    workdir: str | Path, words: Sequence[str], output: str | Path, asked: Asked, data_path: str = ""
) -> list[str]:
    """Predict from a run folder and its data into an h5ad file; give lines for people.

    Raises:
      TrainingError: the folder holds no finished checkpoint.
      DataError: a perturbation is unknown, or the data or the output file cannot be used.
    """
    run = open_run(workdir, data_path)
    perturbations = read_perturbations(words, run.dataset, masked=run.config.data.mask_test)
    lines = [f"{one.label}: {one.kind}" for one in perturbations]
    adata = predict(run, perturbations, asked)
    data.write(adata, output)
    what = (
        f"expected counts (means of {asked.n_cells} draws)" if asked.expected else "sampled cells"
    )
    return [*lines, f"{output}: {adata.n_obs} x {adata.n_vars}, {what}"]


def predict(run: OpenedRun, perturbations: Sequence[Perturbation], asked: Asked):
    """Predict cells of each perturbation as AnnData (docs/data.md).

    Cell i of every perturbation, the control among them, is drawn with the same latents and the
    same library size: differences between them are the perturbation's, and the noise of counts.
    """
    dataset = run.dataset
    perturbations = [one for one in perturbations if one.genes or not asked.control]
    if asked.control:
        perturbations = [*perturbations, control_of(dataset)]
    conditions = sampling.conditions_of([one.genes for one in perturbations], dataset.treatments)
    library = _library_sizes(dataset, asked)
    draw = Draw(
        asked.seed,
        asked.n_cells,
        np.repeat(library[:, None], len(perturbations), axis=1),
        asked.failed,
        asked.expected,
        asked.memory_gib,
    )
    chunks = sampling.draw_cells(run.trained, conditions, draw)
    shape = (len(perturbations), len(dataset.genes))
    if asked.expected:
        values, spread = _moments(chunks, shape, asked.n_cells)
        layers, repeats = {"sd": spread}, 1
        sizes = np.full(shape[0], library.mean())
        names = [one.label for one in perturbations]
    else:
        whole = run.config.model.likelihood_key in ("library_nb", "poisson")
        values, layers, repeats = _cells(chunks, shape[0], whole), {}, asked.n_cells
        sizes = np.tile(library, shape[0])
        names = [f"{one.label}_{i}" for one in perturbations for i in range(repeats)]
    labels = np.repeat([one.label for one in perturbations], repeats)
    kinds = np.repeat([one.kind for one in perturbations], repeats)
    obs = pd.DataFrame(
        {
            "target_gene": pd.Categorical(labels),
            "perturbation": pd.Categorical(labels),
            "kind": pd.Categorical(kinds),
            "quality": pd.Categorical(["bad" if asked.failed else "good"] * len(labels)),
            "library_size": sizes.astype(np.float32),
        },
        index=pd.Index(names),
    )
    uns = {RECORD: _record(run, asked)}
    return data.as_anndata(values, obs, dataset.genes, layers=layers, var=_var(dataset), uns=uns)


def _library_sizes(dataset: Dataset, asked: Asked) -> np.ndarray:
    if asked.library_size is None:
        return observed_library_sizes(dataset, (asked.n_cells,), asked.seed)
    return np.full(asked.n_cells, asked.library_size, np.float32)


def _cells(chunks: Sequence[Chunk], n_perturbations: int, whole: bool) -> Any:
    """Put cells together, perturbation by perturbation: CSR for counts, dense for values."""
    parts: list[list] = [[] for _ in range(n_perturbations)]
    for chunk in chunks:
        for i, condition in enumerate(range(chunk.conditions.start, chunk.conditions.stop)):
            cells = chunk.values[:, i]
            parts[condition].append(sparse.csr_matrix(cells) if whole else cells)
    cells = [part for of_one in parts for part in of_one]
    return sparse.vstack(cells, format="csr") if whole else np.concatenate(cells)


def _moments(chunks: Sequence[Chunk], shape: tuple[int, int], n: int) -> tuple:
    """Return mean and standard deviation over particles, each [C, G] float32."""
    total, squares, first = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for chunk in chunks:
        values = chunk.values.astype(np.float64)
        if chunk.particles.start == 0:
            first[chunk.conditions] = values[0]
        values -= first[chunk.conditions]  # so that squares keep their digits
        total[chunk.conditions] += values.sum(0)
        squares[chunk.conditions] += np.square(values).sum(0)
    variance = np.maximum(squares - total**2 / n, 0) / max(n - 1, 1)
    return (first + total / n).astype(np.float32), np.sqrt(variance).astype(np.float32)


def _var(dataset: Dataset) -> pd.DataFrame:
    perturbed = set(dataset.treatments[: dataset.n_perturbed])
    treatments = set(dataset.treatments)
    columns = {
        "treatment": [gene in treatments for gene in dataset.genes],
        "perturbed_in_data": [gene in perturbed for gene in dataset.genes],
    }
    if dataset.conventions.symbols:
        columns["symbol"] = list(dataset.conventions.symbols)
    return pd.DataFrame(columns, index=pd.Index(list(dataset.genes)))


def _record(run: OpenedRun, asked: Asked) -> dict[str, Any]:
    size = "observed" if asked.library_size is None else float(asked.library_size)
    return {
        "run": run.config.name,
        "data_fingerprint": run.description["data"]["fingerprint"],
        "version": __version__,
        "n_cells": asked.n_cells,
        "expected": asked.expected,
        "library_size": size,
        "quality": "bad" if asked.failed else "good",
        "seed": asked.seed,
    }
