"""Effects as AnnData, and a table of how well each perturbation is predicted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gpo_vae_jax import data
from gpo_vae_jax.evaluate.effects.effect_arrays import Effects
from gpo_vae_jax.evaluate.effects.unseen import others_of, unseen_kinds
from gpo_vae_jax.statistics.correlation import row_pearson

_SPLITS = ("train", "val", "test")
_KINDS = ("model", "spread", "reference", "held_out", "train_mean")  # arrays of `Effects`

OTHERS = {  # columns of r over other genes, by source
    "model": "r_others_model",
    "global_mean": "r_others_global_mean",
    "additive": "r_others_additive",
}


def perturbation_table(
    effects: Effects,
    label_genes: Mapping[str, tuple[str, ...]],
    acting: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return how well each perturbation is predicted, the worst first (docs/method.md 8.2).

    Args:
      effects: of C perturbations.
      label_genes: the perturbed genes of each label (`Dataset.label_genes`).
      acting: [C] share of cells in which each acts, where it is learned.

    Returns:
      C rows: perturbation; cells_train, cells_val and cells_test; r_model and r_train_mean, Pearson
      r with the effect in test cells of the model and of the training mean; own_gene_predicted and
      own_gene_observed, the effect on the perturbed gene itself, predicted and in test cells (the
      mean over genes of a combination); acting, where it is given. Where some have no training
      cells, also `unseen`, what training has seen of them (`effect_sources.UNSEEN`), and r
      over the genes that they do not perturb, by source (`OTHERS`). Effects are differences of
      mean log2(1 + counts per 10,000); nan without test cells, or where the gene is not measured.
    """
    model, observed = effects.model["perturbseq"], effects.held_out["perturbseq"]
    own = _own_genes(effects, label_genes)
    table = pd.DataFrame(
        {
            "perturbation": list(effects.labels),
            **{f"cells_{name}": np.asarray(effects.n_cells[name], np.int64) for name in _SPLITS},
            "r_model": row_pearson(model, observed),
            "r_train_mean": row_pearson(effects.train_mean["perturbseq"], observed),
            "own_gene_predicted": _means_at(model, own),
            "own_gene_observed": _means_at(observed, own),
        }
    )
    if acting is not None:
        table["acting"] = acting
    kinds = unseen_kinds(effects, label_genes)
    if any(kinds):
        table["unseen"] = kinds
        for source, column in OTHERS.items():
            table[column] = np.where(
                np.array(kinds) == "", np.nan, others_of(effects, source, label_genes)
            )
    return table.sort_values("r_model", kind="stable", ignore_index=True)


def effects_anndata(
    effects: Effects,
    probabilities: np.ndarray,
    treatments: Sequence[str],
    settings: Mapping[str, Any],
):
    """Return effects as an AnnData of C perturbations and G genes.

    X is the model's average treatment effect (`perturbseq`). Layers hold it in both transforms with
    its spread over particles, the effects observed in all cells and in test cells, and the training
    mean. `obs` has the number of cells and Pearson r of each perturbation; `varp` has the network,
    `grn_probability` and `grn_edge`, [G, G], row regulates column.

    Args:
      effects: of C perturbations.
      probabilities: [T, T], of edges.
      treatments: T names, the network's rows and columns.
      settings: of the evaluation; an edge is called above `settings["threshold"]`.
    """
    layers = {
        f"{kind}_{transform}": values.astype(np.float32)
        for kind in _KINDS
        for transform, values in getattr(effects, kind).items()
    }
    model = effects.model["perturbseq"]
    columns = {f"cells_{name}": np.asarray(n, np.int64) for name, n in effects.n_cells.items()}
    for kind in ("reference", "held_out"):
        columns[f"pearson_{kind}"] = row_pearson(model, getattr(effects, kind)["perturbseq"])
    obs = pd.DataFrame(columns, index=pd.Index(effects.labels, dtype=object))
    called = (probabilities > settings["threshold"]) & ~np.eye(len(probabilities), dtype=bool)
    network = {"grn_probability": probabilities, "grn_edge": called}
    genes = list(effects.genes)
    return data.as_anndata(
        model.astype(np.float32),
        obs,
        genes,
        layers=layers,
        varp={
            name: data.network_over_genes(matrix.astype(np.float32), treatments, genes)
            for name, matrix in network.items()
        },
        uns={"gpo_vae_evaluation": json.dumps(settings)},
    )


def _own_genes(effects: Effects, label_genes: Mapping[str, tuple[str, ...]]) -> list[list[int]]:
    """Return the columns of each perturbation's own genes, those that are measured."""
    column = {gene: i for i, gene in enumerate(effects.genes)}
    return [
        [column[gene] for gene in label_genes.get(label, ()) if gene in column]
        for label in effects.labels
    ]


def _means_at(values: np.ndarray, columns: Sequence[Sequence[int]]) -> list[float]:
    """Return the mean of each row over its own columns; nan where it has none."""
    return [
        float(np.mean(row[list(at)])) if at else float("nan")
        for row, at in zip(values, columns, strict=True)
    ]
