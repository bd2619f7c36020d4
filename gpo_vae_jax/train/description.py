"""What a training ran on: versions, device, and a fingerprint of the data."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import platform
from typing import Any

import jax
import numpy as np

from gpo_vae_jax import __version__
from gpo_vae_jax.config import Config
from gpo_vae_jax.data.prepared.store.stored_rows import StoredRows
from gpo_vae_jax.types import Dataset

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "anndata")


def describe(config: Config, dataset: Dataset) -> dict[str, Any]:
    """Return what run.json holds of a training besides its settings, as plain JSON values."""
    return {
        "seed": config.train.seed,
        "versions": {
            "gpo_vae_jax": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        "device": f"{jax.default_backend()}: {jax.devices()[0].device_kind}",
        "data": {
            "fingerprint": fingerprint(dataset),
            "path": config.data.path,
            "cells": {name: len(split.cells.weight) for name, split in dataset.splits.items()},
            "n_genes": len(dataset.genes),
        },
        "sizes": dataclasses.asdict(dataset.sizes),
        "treatments": list(dataset.treatments),
        "n_perturbed": dataset.n_perturbed,
        "genes": list(dataset.genes),
        "true_edges": _true_edges(dataset),
    }


def fingerprint(dataset: Dataset) -> str:
    """Return a short hash of everything that is trained on: names and arrays of all splits."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([dataset.treatments, dataset.n_perturbed, dataset.genes]).encode())
    for name in sorted(dataset.splits):
        digest.update(json.dumps([name, list(map(str, dataset.cells[name]))]).encode())
        split = dataset.splits[name]
        context = split.context._asdict()
        del context["training_cells"]  # derived
        for array in jax.tree.leaves((split.cells, list(context.values()))):
            if isinstance(array, StoredRows):
                for chunk in array.chunks():
                    digest.update(chunk.data)
            else:
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _true_edges(dataset: Dataset) -> list[tuple[str, str, float]] | None:
    """List the edges of the true network by name, where the data knows it."""
    if dataset.true_network is None:
        return None
    names = dataset.treatments
    rows, columns = np.nonzero(dataset.true_network)
    weights = dataset.true_network[rows, columns]
    return [(names[i], names[j], float(w)) for i, j, w in zip(rows, columns, weights, strict=True)]
