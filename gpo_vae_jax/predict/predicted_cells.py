"""Cells predicted under perturbations, seen or not, as AnnData."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from gpo_vae_jax import __version__, data
from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.model.heads import head_of
from gpo_vae_jax.model.trained import Trained
from gpo_vae_jax.predict import sampling
from gpo_vae_jax.predict.conditions import conditions_of
from gpo_vae_jax.predict.library_sizes import observed_library_sizes
from gpo_vae_jax.predict.perturbation_names import (
    Perturbation,
    control_of,
    read_perturbations,
)
from gpo_vae_jax.predict.sampling import Chunk, Draw
from gpo_vae_jax.statistics.moments import Moments
from gpo_vae_jax.types import Dataset

RECORD = "gpo_vae_prediction"  # the entry of uns that describes the prediction
OBSERVED = "observed"  # library sizes of good training cells
QUALITIES = ("good", "bad")


class PredictionRequest(NamedTuple):
    """How cells are predicted."""

    n_cells: int = 500  # of each perturbation; draws behind each mean, where `expected`
    expected: bool = False  # expected counts, one row a perturbation, instead of sampled cells
    library_size: float | None = 10_000.0  # UMI counts of a cell; None: those of training cells
    failed: bool = False  # cells that would fail quality control instead of good ones
    control: bool = True  # control cells as well
    seed: int = 0
    memory_gib: float = 2.0  # of one chunk of the work

    @classmethod
    def checked(
        cls,
        *,
        n_cells: int = 500,
        library_size: float | str = 10_000.0,
        quality: str = "good",
        seed: int = 0,
        **rest: Any,
    ) -> PredictionRequest:
        """Return a request made of what a person gives.

        Args:
          n_cells: at least 1.
          library_size: a positive number, or "observed".
          quality: "good" or "bad".
          seed: at least 0.
          rest: further fields.

        Raises:
          ConfigError: a value is out of range.
        """
        if n_cells < 1:
            raise ConfigError(f"n_cells={n_cells} must be at least 1")
        if not 0 <= seed < 2**32:
            raise ConfigError(f"seed={seed} must be between 0 and {2**32 - 1}")
        if quality not in QUALITIES:
            raise ConfigError(f"quality={quality!r} must be 'good' or 'bad'")
        return cls(
            n_cells=n_cells,
            library_size=_library_size(library_size),
            failed=quality == "bad",
            seed=seed,
            **rest,
        )


def predict_cells(
    trained: Trained, dataset: Dataset, words: Sequence[str], request: PredictionRequest
) -> anndata.AnnData:
    """Predict cells of each perturbation with the best member of a trained model (docs/data.md).

    Cell i of every perturbation, the control among them, is drawn with the same latents and the
    same library size. Differences between them are the perturbation's, and the noise of counts.

    Args:
      trained: the model.
      dataset: the data that it was trained on.
      words: names of treatments, or several joined by "+".
      request: number and kind of cells.

    Raises:
      DataError: a perturbation is unknown, or the data is not the model's.
    """
    check_names(trained, dataset)
    masked = trained.config.data.mask_test
    perturbations = read_perturbations(words, dataset, masked=masked)
    perturbations = [one for one in perturbations if one.genes or not request.control]
    if request.control:
        perturbations = [*perturbations, control_of(dataset)]
    conditions = conditions_of([one.genes for one in perturbations], dataset.treatments)
    library = _library_sizes(dataset, request)
    draw = Draw(
        request.seed,
        request.n_cells,
        np.repeat(library[:, None], len(perturbations), axis=1),
        request.failed,
        request.expected,
        request.memory_gib,
    )
    chunks = sampling.draw_cells(trained.params, conditions, draw, spec=trained.spec)
    shape = (len(perturbations), len(dataset.genes))
    layers: dict[str, np.ndarray] = {}
    if request.expected:
        values, layers["sd"] = _moments(chunks, shape)
        repeats, sizes = 1, np.full(shape[0], library.mean())
        names = [one.label for one in perturbations]
    else:
        whole = head_of(trained.config.model.likelihood_key).draws_counts
        values, repeats = _cells(chunks, shape[0], whole), request.n_cells
        sizes = np.tile(library, shape[0])
        names = [f"{one.label}_{i}" for one in perturbations for i in range(repeats)]
    obs = _obs(perturbations, repeats, request, sizes, names)
    uns = {RECORD: _record(trained, request)}
    var = gene_annotation(dataset)
    return data.as_anndata(values, obs, dataset.genes, layers=layers, var=var, uns=uns)


def check_names(trained: Trained, dataset: Dataset) -> None:
    """Check that data has the treatments and genes that a model was trained on.

    Raises:
      DataError: it has others, or has them in another order.
    """
    pairs = (
        ("treatments", trained.treatments, dataset.treatments),
        ("perturbed treatments", (trained.n_perturbed,), (dataset.n_perturbed,)),
        ("genes", trained.genes, dataset.genes),
    )
    for what, ours, theirs in pairs:
        if tuple(ours) != tuple(theirs):
            differ = sorted({str(name) for name in ours} ^ {str(name) for name in theirs})
            example = f", such as {differ[0]!r}" if differ else ", or has them in another order"
            raise DataError(
                f"the data has other {what} than the model was trained on{example}; use the "
                "prepared data of its training"
            )


def _library_size(value: float | str) -> float | None:
    if value == OBSERVED:
        return None
    try:
        size = float(value)
    except (TypeError, ValueError):
        size = math.nan
    if not 0 < size < math.inf:
        raise ConfigError(f"library_size={value!r} must be a positive number, or {OBSERVED!r}")
    return size


def _library_sizes(dataset: Dataset, request: PredictionRequest) -> np.ndarray:
    if request.library_size is None:
        return observed_library_sizes(dataset, (request.n_cells,), request.seed)
    return np.full(request.n_cells, request.library_size, np.float32)


def _obs(
    perturbations: Sequence[Perturbation],
    repeats: int,
    request: PredictionRequest,
    library_size: np.ndarray,
    names: Sequence[str],
) -> pd.DataFrame:
    labels = np.repeat([one.label for one in perturbations], repeats)
    kinds = np.repeat([one.kind for one in perturbations], repeats)
    return pd.DataFrame(
        {
            "target_gene": pd.Categorical(labels),
            "perturbation": pd.Categorical(labels),
            "kind": pd.Categorical(kinds),
            "quality": pd.Categorical([QUALITIES[request.failed]] * len(labels)),
            "library_size": library_size.astype(np.float32),
        },
        index=pd.Index(names),
    )


def _cells(chunks: Iterable[Chunk], n_perturbations: int, whole: bool) -> Any:
    """Stack cells, perturbation by perturbation: CSR for counts, dense for real values."""
    parts: list[list] = [[] for _ in range(n_perturbations)]
    for chunk in chunks:
        for i, condition in enumerate(range(chunk.conditions.start, chunk.conditions.stop)):
            cells = chunk.values[:, i]
            parts[condition].append(sparse.csr_matrix(cells) if whole else cells)
    cells = [part for of_one in parts for part in of_one]
    return sparse.vstack(cells, format="csr") if whole else np.concatenate(cells)


def _moments(chunks: Iterable[Chunk], shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation over draws, each [C, G] float32."""
    moments = Moments(shape)
    for chunk in chunks:
        moments.add(chunk.values, chunk.conditions)
    return moments.mean.astype(np.float32), moments.std().astype(np.float32)


def gene_annotation(dataset: Dataset) -> pd.DataFrame:
    """Return what a prediction says of each gene, one row each."""
    perturbed = set(dataset.treatments[: dataset.n_perturbed])
    treatments = set(dataset.treatments)
    columns: dict[str, list] = {
        "treatment": [gene in treatments for gene in dataset.genes],
        "perturbed_in_data": [gene in perturbed for gene in dataset.genes],
    }
    if dataset.conventions.symbols:
        columns["symbol"] = list(dataset.conventions.symbols)
    return pd.DataFrame(columns, index=pd.Index(list(dataset.genes)))


def _record(trained: Trained, request: PredictionRequest) -> dict[str, Any]:
    size = OBSERVED if request.library_size is None else float(request.library_size)
    return {
        "run": trained.config.name,
        "data_fingerprint": trained.description["data"]["fingerprint"],
        "version": __version__,
        "n_cells": request.n_cells,
        "expected": request.expected,
        "library_size": size,
        "quality": QUALITIES[request.failed],
        "seed": request.seed,
    }
