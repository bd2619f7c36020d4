"""The network of a run folder as files, and the first lines of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gpo_vae_jax import data
from gpo_vae_jax.evaluate import file_names
from gpo_vae_jax.evaluate.knowledge import KnownNetwork
from gpo_vae_jax.evaluate.network.agreement import agreement_table, agreements, placed_networks
from gpo_vae_jax.evaluate.network.edges import edge_probabilities, write_network
from gpo_vae_jax.evaluate.network.enrichment import enrichment
from gpo_vae_jax.evaluate.network.recovery import recovery
from gpo_vae_jax.evaluate.network.regulators import neighbourhood, regulators
from gpo_vae_jax.files import written_beside
from gpo_vae_jax.runs.saved import load


def export_network(
    workdir: str | Path,
    *,
    threshold: float = 0.5,
    at_least: int = 200,
    show: int = 10,
    networks: Sequence[KnownNetwork] = (),
    genes: Sequence[str] = (),
    depth: int = 2,
    gmt: str | Path | None = None,
) -> list[str]:
    """Write a run's network into its folder: grn.csv, edges.csv, edges.graphml, regulators.csv.

    Args:
      threshold: edges are called above this probability,
      at_least: and so many of the most probable are listed in any case.
      show: lines of each kind.
      networks: known ones; edges say which know them, known_networks.csv how well all agree.
      genes: for each, neighbourhood_GENE.csv with what is downstream within `depth` edges.
      gmt: gene sets; enrichment.csv says in which the regulators' targets are rich.

    Returns:
      Lines for people: what was written, and the first of it; where the data came with its true
      network, how well that was recovered.

    Raises:
      TrainingError: the folder holds no finished checkpoint.
      ConfigError: a gene is none of the treatments; gseapy is needed and not installed.
      DataError: known networks or gene sets name none of the treatments.
    """
    workdir = Path(workdir)
    trained = load(workdir)
    run, names, n_perturbed = trained.description, trained.treatments, trained.n_perturbed
    probabilities = edge_probabilities(trained.params, spec=trained.spec)
    aliases = _aliases(run["data"]["path"]) if networks or gmt else {}
    known = placed_networks(networks, names, aliases)
    downstream = {
        gene: neighbourhood(probabilities, names, gene, depth=depth, threshold=threshold)
        for gene in genes
    }
    enriched = None
    if gmt:
        enriched = enrichment(
            probabilities, names, n_perturbed, gmt, threshold=threshold, aliases=aliases
        )

    edges = write_network(
        workdir,
        probabilities,
        names,
        n_perturbed,
        threshold=threshold,
        at_least=at_least,
        known=known,
    )
    above = int(edges["above_threshold"].sum())
    lines = [
        f"{workdir}/grn.csv: {len(names)} x {len(names)} edge probabilities",
        f"{workdir}/edges.csv, edges.graphml: {len(edges)} edges, {above} above {threshold:g}",
        f"the {min(show, len(edges))} most probable edges:",
        *(_edge_line(edge) for edge in edges.head(show).to_dict("records")),
    ]
    ranked = regulators(probabilities, names, n_perturbed, threshold=threshold)
    lines += _write_regulators(workdir, ranked, show)
    for gene, table in downstream.items():
        lines += _write_neighbourhood(workdir, gene, table, depth, show)
    if known:
        found = agreements(probabilities, known, n_perturbed, threshold=threshold)
        lines += _write_agreement(workdir, agreement_table(found))
    if enriched is not None:
        lines += _write_enrichment(workdir, enriched, show)
    return [*lines, *_against_truth(run, probabilities)]


def _aliases(path: str) -> Mapping[str, str]:
    """Return the other names of genes from the prepared file, if it is (still) there."""
    return data.read_conventions(path).aliases if path and Path(path).is_file() else {}


def _edge_line(edge: Mapping) -> str:
    known = [
        name.removeprefix("known_")
        for name, value in edge.items()
        if name.startswith("known_") and name != "known_union" and value
    ]
    note = f"  known: {', '.join(known)}" if known else ""
    arrow = f"{edge['source']} -> {edge['target']}"
    return f"  {edge['rank']:3d}  {arrow}  {edge['probability']:.3f}{note}"


def _write(path: Path, table: pd.DataFrame) -> None:
    with written_beside(path) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")


def _write_regulators(workdir: Path, table: pd.DataFrame, show: int) -> list[str]:
    _write(workdir / file_names.REGULATORS, table)
    first = table[table["perturbed"]].head(min(show, 5))
    return [
        f"{workdir}/regulators.csv: {len(table)} treatments; those with the most targets:",
        *(
            f"  {row.rank:3d}  {row.gene}  {row.n_targets} targets, "
            f"{row.expected_targets:.1f} expected"
            for row in first.itertuples()
        ),
    ]


def _write_neighbourhood(
    workdir: Path, gene: str, table: pd.DataFrame, depth: int, show: int
) -> list[str]:
    path = workdir / file_names.NEIGHBOURHOOD.format(gene=re.sub(r"[^A-Za-z0-9_.+-]", "_", gene))
    _write(path, table)
    return [
        f"{path}: {len(table)} genes downstream of {gene} within {depth} edges",
        *(f"  {row.path}  {row.probability:.3f}" for row in table.head(show).itertuples()),
    ]


def _write_agreement(workdir: Path, table: pd.DataFrame) -> list[str]:
    _write(workdir / file_names.KNOWN_NETWORKS, table)
    lines = [f"{workdir}/known_networks.csv: called edges among known ones, of the perturbed block"]
    for row in table[table["pairs"] == "block"].itertuples():
        lines.append(
            f"  {row.network}: {row.n_shared} of {row.n_called} called edges known (precision "
            f"{row.precision:.3f}, of random edges {row.random_precision:.3f}, p = "
            f"{row.p_value:.2g}), recall {row.recall:.3f} of {row.n_known}, AUPRC {row.auprc:.3f} "
            f"(random {row.random_auprc:.3f})"
        )
    return lines


def _write_enrichment(workdir: Path, table: pd.DataFrame, show: int) -> list[str]:
    _write(workdir / file_names.ENRICHMENT, table)
    below = int((table["adjusted_p_value"] < 0.05).sum())
    return [
        f"{workdir}/enrichment.csv: {len(table)} regulators and gene sets that share genes, "
        f"{below} with adjusted p < 0.05",
        *(
            f"  {row.regulator}: {row.gene_set}  {row.n_shared} of {row.n_targets} targets, "
            f"adjusted p = {row.adjusted_p_value:.2g}"
            for row in table.head(min(show, 5)).itertuples()
        ),
    ]


def _against_truth(run: Mapping, probabilities: np.ndarray) -> list[str]:
    truth = run.get("true_edges")
    if not truth:
        return []
    index = {name: i for i, name in enumerate(run["treatments"])}
    matrix = np.zeros(probabilities.shape)
    for source, target, weight in truth:
        matrix[index[source], index[target]] = weight
    try:
        found = recovery(probabilities, matrix, run["n_perturbed"])
    except ValueError as error:
        return [f"against the true network: {error}"]
    return [
        f"against the true network ({found.n_true} of {found.n_possible} edges): AUPRC "
        f"{found.auprc:.3f}, {found.ratio:.1f} times the {found.random_auprc:.3f} of a random "
        f"ranking; AUROC {found.auroc:.3f}"
    ]
