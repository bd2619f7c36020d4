"""Average treatment effects as AnnData: perturbations in rows, genes in columns."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from gpo_vae_jax import data
from gpo_vae_jax.evaluate.results import Evaluation


def effects_anndata(evaluation: Evaluation):
    """Return an AnnData of C perturbations and G genes.

    X is the model's average treatment effect (perturbseq); layers hold it by both transforms
    beside the spread over particles, the effects observed in all cells and in test cells, and
    the training mean. obs counts cells and gives each perturbation's Pearson r; varp has the
    network: `grn_probability` and `grn_edge`, [G, G], row regulates column.
    """
    effects, summary = evaluation.effects, evaluation.summary
    layers = {
        f"{kind}_{transform}": values.astype(np.float32)
        for kind in ("model", "spread", "reference", "held_out", "train_mean")
        for transform, values in getattr(effects, kind).items()
    }
    obs = pd.DataFrame(
        {f"cells_{name}": np.asarray(n, np.int64) for name, n in effects.n_cells.items()},
        index=pd.Index(effects.labels, dtype=object),
    )
    model = effects.model["perturbseq"]
    for kind in ("reference", "held_out"):
        observed = getattr(effects, kind)["perturbseq"]
        obs[f"pearson_{kind}"] = [_pearson(a, b) for a, b in zip(model, observed, strict=True)]
    network = {
        "grn_probability": evaluation.probabilities.astype(np.float32),
        "grn_edge": _edges(evaluation),
    }
    genes = list(effects.genes)
    return data.as_anndata(
        model.astype(np.float32),
        obs,
        genes,
        layers=layers,
        varp={
            name: data.network_over_genes(matrix, evaluation.treatments, genes)
            for name, matrix in network.items()
        },
        uns={"gpo_vae_evaluation": json.dumps(summary["settings"])},
    )


def _edges(evaluation: Evaluation) -> np.ndarray:
    called = evaluation.probabilities > evaluation.summary["settings"]["threshold"]
    return (called & ~np.eye(len(called), dtype=bool)).astype(np.float32)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
