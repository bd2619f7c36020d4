"""The names of the files that an evaluation or an export of the network leaves in a folder."""

from __future__ import annotations

from pathlib import Path

EVALUATION = "evaluation.json"  # every number
NUMBERS = "evaluation.csv"  # the same, a row each
EFFECTS = "effects.h5ad"
PERTURBATIONS = "perturbations.csv"
CURVE = "curve.csv"
GUIDES = "guides.csv"
CONTROL_KINDS = "control_kinds.csv"
PROBABILITIES = "grn.csv"
EDGES = "edges.csv"
GRAPH = "edges.graphml"
REGULATORS = "regulators.csv"
KNOWN_NETWORKS = "known_networks.csv"
ENRICHMENT = "enrichment.csv"
ENSEMBLE_PROBABILITIES = "ensemble_grn.csv"  # of several members
ENSEMBLE_EDGES = "ensemble_edges.csv"
NEIGHBOURHOOD = "neighbourhood_{gene}.csv"
REPORT = "report.html"
PLOTS = "plots"

OUTPUT_FILES = (
    *(EVALUATION, NUMBERS, EFFECTS, PERTURBATIONS, CURVE, PROBABILITIES, EDGES, GRAPH),
    *(REGULATORS, KNOWN_NETWORKS, ENRICHMENT, "neighbourhood_*.csv"),
    *(GUIDES, CONTROL_KINDS, ENSEMBLE_PROBABILITIES, ENSEMBLE_EDGES),
    *(REPORT, f"{PLOTS}/*.png"),
)


def possible_outputs(folder: str | Path) -> list[Path]:
    """Return the files in a folder that an evaluation or an export of the network left there."""
    return [path for pattern in OUTPUT_FILES for path in sorted(Path(folder).glob(pattern))]
