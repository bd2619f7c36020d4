"""Predicted and real test cells as cell-eval compares them (docs/evaluation.md)."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from gpo_vae_jax import __version__, data
from gpo_vae_jax.errors import DataError, listed
from gpo_vae_jax.model.trained import Trained
from gpo_vae_jax.predict.lent_cells import Genes, lent_cells
from gpo_vae_jax.predict.perturbation_names import (
    OBSERVED,
    perturbation_label,
    read_perturbations,
)
from gpo_vae_jax.predict.predicted_cells import check_names, gene_annotation
from gpo_vae_jax.types import Dataset

PERTURBATION = "target_gene"  # the column of obs with the labels
PAIR_RECORD = "gpo_vae_cell_eval"  # the entry of uns that describes the pair


class CellEvalPair(NamedTuple):
    """Predicted and real cells with the same perturbations, genes and normalisation."""

    predicted: anndata.AnnData
    real: anndata.AnnData
    control: str  # the label of control cells in obs["target_gene"]
    target_sum: float  # counts to which every cell was scaled before log(1 + x)
    notes: tuple[str, ...]  # what a reader should know of the perturbations


def cell_eval_pair(
    trained: Trained, dataset: Dataset, *, seed: int = 0, memory_gib: float = 2.0
) -> CellEvalPair:
    """Predict the test cells of a data set with the best member of a trained model.

    The real cells are all test cells. Of every perturbation that they carry, and of the control, as
    many cells are predicted: control cells of training, decoded under the perturbation, with
    library sizes distributed like those of the perturbation's training cells. No test cell
    enters a prediction. Values of both are log(1 + counts), counts scaled to one number: the median
    library size of the training cells.

    Args:
      trained: the model.
      dataset: the data that it was trained on.
      seed: of the draws.
      memory_gib: of one chunk of the work; it changes no number.

    Raises:
      DataError: the data is not the model's, or there are no test cells of perturbations, of the
        control, or no training cells of the control.
    """
    check_names(trained, dataset)
    label, groups = perturbations_of_test_cells(dataset)
    names = list(groups)
    n_cells = np.array([int((label == name).sum()) for name in names])
    values, lenders = lent_cells(
        trained.params, dataset, list(groups.values()), n_cells.tolist(),
        spec=trained.spec, seed=seed, memory_gib=memory_gib,
    )  # fmt: skip
    train, test = dataset.splits["train"].cells, dataset.splits["test"].cells
    target_sum = float(np.median(np.asarray(train.library_size, np.float64)))
    masked = trained.config.data.mask_test
    found = read_perturbations(names, dataset, masked=masked)
    kinds = {one.label: one.kind for one in found}
    predicted_label = np.repeat(names, n_cells)
    obs = pd.DataFrame(
        {
            PERTURBATION: pd.Categorical(predicted_label),
            "kind": pd.Categorical([kinds[name] for name in predicted_label]),
            "library_size": np.asarray(train.library_size, np.float32)[lenders],
        },
        index=pd.Index([f"{name}_{i}" for name, n in zip(names, n_cells, strict=True)
                        for i in range(n)]),
    )  # fmt: skip
    real_obs = pd.DataFrame(
        {
            PERTURBATION: pd.Categorical(label),
            "library_size": np.asarray(test.library_size, np.float32),
        },
        index=pd.Index([str(name) for name in dataset.cells["test"]]),
    )
    record = {
        "run": trained.config.name,
        "data_fingerprint": trained.description["data"]["fingerprint"],
        "version": __version__,
        "target_sum": target_sum,
        "seed": seed,
    }
    predicted = _normalised(values, obs, target_sum, dataset, record)
    real = _normalised(np.asarray(test.counts), real_obs, target_sum, dataset, record)
    control = dataset.conventions.control
    notes = tuple(_notes(dataset, kinds, set(names)))
    return CellEvalPair(predicted, real, control, target_sum, notes)


def perturbations_of_test_cells(dataset: Dataset) -> tuple[np.ndarray, dict[str, Genes]]:
    """Return the label of each test cell, [N], and the genes of each label, the control last.

    Labels are those that predictions have: "B+A" and "A+B" are one.

    Raises:
      DataError: there are no test cells of perturbations, or none of the control.
    """
    raw = [str(label) for label in dataset.labels["test"]]
    control = dataset.conventions.control
    name = {label: perturbation_label(dataset.label_genes[label], dataset) for label in set(raw)}
    label = np.array([name[one] for one in raw], dtype=str)
    groups = {name[one]: tuple(dataset.label_genes[one]) for one in sorted(set(raw))}
    if set(groups) <= {control}:
        raise DataError("no test cell is perturbed; prepare the data with a larger test split")
    if control not in groups:
        raise DataError(
            f"there are no test cells of the control {control!r}, from which cell-eval measures "
            "changes; prepare the data with a larger test split"
        )
    perturbed = sorted(set(groups) - {control})
    return label, {one: groups[one] for one in [*perturbed, control]}


def _normalised(
    counts: np.ndarray, obs: pd.DataFrame, target_sum: float, dataset: Dataset, record: dict
) -> anndata.AnnData:
    """Return log(1 + counts scaled to the target sum) as AnnData, CSR float32."""
    values = sparse.csr_matrix(np.maximum(counts, 0), dtype=np.float64)  # normal heads: below 0
    total = np.asarray(values.sum(axis=1)).ravel()
    scale = np.divide(target_sum, total, out=np.zeros(len(total)), where=total > 0)
    values.data = np.log1p(values.data * np.repeat(scale, np.diff(values.indptr)))
    scaled: Any = values.astype(np.float32)
    var, uns = gene_annotation(dataset), {PAIR_RECORD: dict(record)}
    return data.as_anndata(scaled, obs, dataset.genes, var=var, uns=uns)


def _notes(dataset: Dataset, kinds: dict[str, str], names: set[str]) -> list[str]:
    """Say which perturbations the model saw no cell of, and which have no test cells."""
    control = dataset.conventions.control
    notes = []
    for kind, labels in _by_kind(kinds).items():
        if kind != OBSERVED and labels != [control]:
            notes.append(f"{len(labels)} of {len(kinds) - 1}: {kind} ({listed(labels)})")
    every = {
        perturbation_label(dataset.label_genes[str(label)], dataset)
        for labels in dataset.labels.values()
        for label in np.unique(np.asarray(labels, dtype=str))
    }
    missing = sorted(every - names)
    if missing:
        notes.append(f"left out, without test cells: {len(missing)} ({listed(missing)})")
    few = Counter(np.asarray(dataset.labels["test"], dtype=str).tolist())
    lone = sorted(label for label, n in few.items() if n == 1)
    if lone:
        notes.append(f"one test cell only: {len(lone)} ({listed(lone)})")
    return notes


def _by_kind(kinds: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for label, kind in kinds.items():
        found.setdefault(kind, []).append(label)
    return found
