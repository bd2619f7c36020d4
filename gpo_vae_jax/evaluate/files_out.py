"""The files of an evaluation; each is written completely or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from gpo_vae_jax import data
from gpo_vae_jax.evaluate import file_names
from gpo_vae_jax.evaluate.metrics import describe, direction, find
from gpo_vae_jax.evaluate.network.agreement import agreement_table
from gpo_vae_jax.evaluate.network.edges import write_edges
from gpo_vae_jax.evaluate.results import Evaluation
from gpo_vae_jax.evaluate.summary_numbers import entries, finite
from gpo_vae_jax.evaluate.terminal_table import terminal_table
from gpo_vae_jax.files import write_text, written_beside

__all__ = ["numbers_table", "terminal_table", "write_files"]


def write_files(folder: str | Path, evaluation: Evaluation) -> list[Path]:
    """Write all results but the report into a folder (docs/evaluation.md); return the paths."""
    folder = Path(folder)
    summary = finite(evaluation.summary)
    tables = {
        file_names.NUMBERS: numbers_table(summary),
        file_names.PERTURBATIONS: evaluation.perturbations,
        file_names.REGULATORS: evaluation.regulators,
        file_names.CURVE: evaluation.curve,
        file_names.GUIDES: evaluation.guides,
        file_names.CONTROL_KINDS: evaluation.control_kinds,
        file_names.KNOWN_NETWORKS: agreement_table(evaluation.summary.get("known_networks") or {}),
    }
    tables = {name: table for name, table in tables.items() if len(table.columns)}
    for name, table in tables.items():
        with written_beside(folder / name) as part:
            table.to_csv(part, index=False, float_format="%.6g")
    write_edges(
        folder,
        evaluation.probabilities,
        evaluation.edges,
        evaluation.treatments,
        evaluation.n_perturbed,
    )
    data.write(evaluation.to_anndata(), folder / file_names.EFFECTS)
    write_text(folder / file_names.EVALUATION, json.dumps(summary, indent=1) + "\n")
    others = (
        file_names.EVALUATION,
        file_names.EFFECTS,
        file_names.PROBABILITIES,
        file_names.EDGES,
        file_names.GRAPH,
    )
    return [folder / name for name in (*others, *tables)]


def numbers_table(summary: dict[str, Any]) -> pd.DataFrame:
    """Return every entry of a summary as a row: metric (dotted path), label, better, value.

    `better` is "higher", "lower", or empty where neither direction is better.
    """
    rows = []
    for path, value in entries(summary):
        row = find(path)
        label = describe(path) if row else ""
        rows.append((path, label, direction(row), value))
    return pd.DataFrame(rows, columns=["metric", "label", "better", "value"])
