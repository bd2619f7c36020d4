"""Simulated cells written to disk in blocks, as a folder of cells that training reads."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inputs import cells as simulated
from benchmarks.inputs.shapes import Shape
from gpo_vae_jax.config import DataConfig
from gpo_vae_jax.data.dataset import Summary, from_arrays
from gpo_vae_jax.data.prepared.store.stored_rows import ArrayFile, StoredRows
from gpo_vae_jax.types import Dataset

BLOCK = 4096
_FILES = {"counts": "u1", "counterfactual": "u1", "delta": "f4", "network_genes": "u1"}


def write(folder: Path, shape: Shape, n_cells: int) -> None:
    """Write cells; each block holds the same simulated cells, in an order of its own.

    Counts are at most 255, so that they take a byte each.
    """
    folder.mkdir(parents=True)
    made = simulated.cells(shape, min(BLOCK, n_cells))
    for name in ("counts", "counterfactual"):
        made[name] = np.minimum(made[name], 255).astype(np.uint8)
    rng, order = np.random.default_rng(0), []
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(open(folder / f"{name}.bin", "wb"))
            for name in ("counts", "counterfactual", "delta")
        }
        for start in range(0, n_cells, BLOCK):
            at = rng.permutation(len(made["counts"]))[: n_cells - start]
            order.append(at)
            for name, file in files.items():
                file.write(np.ascontiguousarray(made[name][at]).data)
    rows = np.concatenate(order)
    with open(folder / "network_genes.bin", "wb") as file:
        for gene in range(shape.treatments):
            file.write(np.ascontiguousarray(made["counts"][rows, gene]).data)
    np.savez(folder / "cells.npz", perturbation=made["perturbation"][rows],
             qc_fail=made["qc_fail"][rows])  # fmt: skip


def dataset(
    folder: Path, shape: Shape, *, in_memory: bool = False, summary: Summary | None = None
) -> Dataset:
    """Return the cells as training takes them, their matrices on disk or in memory."""
    with np.load(folder / "cells.npz") as found:
        perturbation, qc_fail = found["perturbation"], found["qc_fail"]
    n = len(perturbation)
    matrices = _matrices(folder, shape, n)
    if in_memory:
        matrices = {name: np.asarray(rows) for name, rows in matrices.items()}
    names = [f"G{i}" for i in range(shape.genes)]
    split = np.array(["train"] * 16 + ["val"] * 4 + ["test"] * 5)[np.arange(n) % 25]
    return from_arrays(
        **matrices,
        dosage=(
            np.maximum(perturbation, 0)[:, None],
            (perturbation >= 0)[:, None].astype(np.float32),
        ),
        qc_fail=qc_fail,
        split=split,
        treatments=names[: shape.treatments],
        n_perturbed=shape.perturbed,
        genes=names,
        config=DataConfig(),
        summary=summary,
    )


def _matrices(folder: Path, shape: Shape, n: int) -> dict[str, Any]:
    columns = {"counts": shape.genes, "counterfactual": shape.genes,
               "delta": shape.treatments, "network_genes": n}  # fmt: skip
    files = {
        name: ArrayFile(folder / f"{name}.bin", columns[name], np.dtype(dtype))
        for name, dtype in _FILES.items()
    }
    place = np.where(np.arange(shape.genes) < shape.treatments, np.arange(shape.genes), -1)
    every = np.arange(n)
    return {
        "counts": StoredRows(files["counts"], every, (files["network_genes"], place)),
        "counterfactual": StoredRows(files["counterfactual"], every, None),
        "delta": StoredRows(files["delta"], every, None),
    }
