"""The files of an evaluation, each whole or not there, and its numbers as a table for people."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from gpo_vae_jax import data
from gpo_vae_jax.evaluate.effects.effect_table import effects_anndata
from gpo_vae_jax.evaluate.network.agreement import agreement_table
from gpo_vae_jax.evaluate.network.edges import write_edges
from gpo_vae_jax.evaluate.results import Evaluation
from gpo_vae_jax.evaluate.summary_numbers import entries, finite
from gpo_vae_jax.files import write_text, written_beside

_SOURCES = ("model", "train_mean", "global_mean", "ceiling")
_HEADINGS = ("model", "training mean", "global mean", "half vs half")
_METRICS = {
    "pearson": "Pearson r",
    "r2": "R2",
    "pearson_top": "Pearson r, top genes",
    "r2_top": "R2, top genes",
}


# Every file that an evaluation or an export of the network may leave in a folder.
OUTPUT_FILES = (
    *("evaluation.json", "evaluation.csv", "effects.h5ad", "perturbations.csv", "curve.csv"),
    *("grn.csv", "edges.csv", "edges.graphml", "regulators.csv", "known_networks.csv"),
    *("enrichment.csv", "neighbourhood_*.csv", "report.html", "plots/*.png"),
)


def possible_outputs(folder: str | Path) -> list[Path]:
    """Return the files in a folder that an evaluation or an export of the network left there."""
    return [path for pattern in OUTPUT_FILES for path in sorted(Path(folder).glob(pattern))]


def write_files(folder: str | Path, evaluation: Evaluation) -> list[Path]:
    """Write the results (docs/evaluation.md) but for the report; give the paths of the files."""
    folder = Path(folder)
    summary = finite(evaluation.summary)
    tables = {
        "evaluation.csv": pd.DataFrame(entries(summary), columns=["metric", "value"]),
        "regulators.csv": evaluation.regulators,
        "curve.csv": evaluation.curve,
    }
    if summary["known_networks"]:
        tables["known_networks.csv"] = agreement_table(evaluation.summary["known_networks"])
    write_edges(
        folder,
        evaluation.probabilities,
        evaluation.edges,
        evaluation.treatments,
        evaluation.n_perturbed,
    )
    for name, table in tables.items():
        with written_beside(folder / name) as part:
            table.to_csv(part, index=False, float_format="%.6g")
    data.write(effects_anndata(evaluation), folder / "effects.h5ad")
    write_text(folder / "evaluation.json", json.dumps(summary, indent=1) + "\n")
    names = ["evaluation.json", *tables, "grn.csv", "edges.csv", "edges.graphml", "effects.h5ad"]
    return [folder / name for name in names]


def lines(summary: dict[str, Any]) -> list[str]:
    """Return the main numbers as lines of text."""
    bound, network = summary["predictive_iwelbo"], summary["network"]
    out = [
        f"predictive IWELBO {bound['mean']:.4f} (standard error {bound['standard_error']:.4f}, "
        f"{bound['n_cells']} test cells)"
    ]
    top, sets = summary["settings"]["top"], summary["settings"]["top_sets"]
    names = {**_METRICS, **{f"jaccard_{n}": f"Jaccard of top {n}" for n in sets}}
    for cells, title in (("held_out", "test cells"), ("reference", "all cells")):
        out.append(
            f"effects on {title} (perturbseq; top: {top} strongest genes)".ljust(58)
            + "".join(f"{heading:>15}" for heading in _HEADINGS)
        )
        found = summary["effects"]["perturbseq"][cells]
        for key, text in names.items():
            values = (found.get(source, {}).get(key) for source in _SOURCES)
            out.append(f"  {text}".ljust(58) + "".join(f"{_number(v):>15}" for v in values))
    out += [
        f"generated good cells that pass quality control at {k} MADs: {_number(share)}"
        for k, share in summary["quality"].get("observed", {}).items()
    ]
    for key, title in (("block", "between perturbed genes"), ("all", "to all measured genes")):
        edges = network[key]["edges"]
        out.append(
            f"edges {title}: {edges['n']} ({edges['n_evaluable']} testable: "
            f"{edges['true_positives']} true, {edges['false_positives']} false positives; mean "
            f"Wasserstein {_number(edges['mean_wasserstein'])}); false omission rate "
            f"{_number(network[key]['false_omission_rate'])}"
        )
    for name, found in summary["known_networks"].items():
        out.append(
            f"known network {name}: {found['n_shared']} of {found['n_called']} edges are known, "
            f"precision {_number(found['precision'])} (at random "
            f"{_number(found['random_precision'])}), AUPRC {_number(found['auprc'])} (at random "
            f"{_number(found['random_auprc'])})"
        )
    truth = summary["truth"]
    if truth and truth.get("auprc") is not None:
        times = truth["auprc"] / truth["random_auprc"]
        out.append(
            f"true network: AUPRC {truth['auprc']:.3f}, {times:.1f} times the "
            f"{truth['random_auprc']:.3f} of a random ranking; AUROC {truth['auroc']:.3f}"
        )
    return out


def _number(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.3f}"
