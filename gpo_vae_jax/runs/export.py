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
from gpo_vae_jax.evaluate.network.calibration import calls_of
from gpo_vae_jax.evaluate.network.edge_calls import EdgeCalls
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
    fdr: float | None = None,
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
      fdr: or, where it is given, such that this share of them is expected to be wrong,
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
    calls = None if fdr is None else calls_of(trained.params, fdr, spec=trained.spec)
    judged, threshold = _judged(probabilities, threshold, calls)
    downstream = {
        gene: neighbourhood(judged, names, gene, depth=depth, threshold=threshold) for gene in genes
    }
    enriched = None
    if gmt:
        enriched = enrichment(judged, names, n_perturbed, gmt, threshold=threshold, aliases=aliases)

    edges = write_network(
        workdir,
        probabilities,
        names,
        n_perturbed,
        threshold=threshold if calls is None else 0.5,
        at_least=at_least,
        known=known,
        calls=calls,
    )
    above = int(edges["above_threshold"].sum())
    which = f"{above} above {threshold:g}" if calls is None else f"{calls.n_called} called"
    lines = [
        f"{workdir}/grn.csv: {len(names)} x {len(names)} edge probabilities",
        f"{workdir}/edges.csv, edges.graphml: {len(edges)} edges, {which}",
        *(_calls_lines(calls, latent=trained.config.model.effect == "latent") if calls else ()),
        f"the {min(show, len(edges))} most probable edges:",
        *(_edge_line(edge) for edge in edges.head(show).to_dict("records")),
    ]
    ranked = regulators(judged, names, n_perturbed, threshold=threshold)
    lines += _write_regulators(workdir, ranked, show)
    for gene, table in downstream.items():
        lines += _write_neighbourhood(workdir, gene, table, depth, show)
    if known:
        found = agreements(judged, known, n_perturbed, threshold=threshold)
        lines += _write_agreement(workdir, agreement_table(found))
    if enriched is not None:
        lines += _write_enrichment(workdir, enriched, show)
    return [*lines, *_against_truth(run, probabilities, calls)]


def _judged(
    probabilities: np.ndarray, threshold: float, calls: EdgeCalls | None
) -> tuple[np.ndarray, float]:
    """Return the probabilities that call edges, [T, T], and above which value they do."""
    if calls is None:
        return probabilities, threshold
    below = float(calls.posterior[calls.posterior < calls.least].max(initial=0.0))
    others = np.minimum(calls.posterior, below)
    return np.where(calls.called, calls.posterior, others), below


def _calls_lines(calls: EdgeCalls, *, latent: bool) -> list[str]:
    """Say how many edges are called and what is expected of them."""
    if not calls.n_called:
        said = f"no edge is called: none can be at an expected FDR of {calls.fdr:g}"
    else:
        said = (
            f"{calls.n_called} edges of perturbed genes are called at an expected FDR of "
            f"{calls.fdr:g}: {calls.stated_precision:.0%} of them are expected to be right"
        )
    note = (
        "  (latent effects have no unit: these are the model's own probabilities, not calibrated)"
    )
    return [said, note] if latent else [said]


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
    probability = edge.get("posterior", edge["probability"])
    return f"  {edge['rank']:3d}  {arrow}  {probability:.3f}{note}"


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


def _against_truth(run: Mapping, probabilities: np.ndarray, calls: EdgeCalls | None) -> list[str]:
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
    lines = [
        f"against the true network ({found.n_true} of {found.n_possible} edges): AUPRC "
        f"{found.auprc:.3f}, {found.ratio:.1f} times the {found.random_auprc:.3f} of a random "
        f"ranking; AUROC {found.auroc:.3f}"
    ]
    if calls and calls.n_called:
        right = int((calls.called & (matrix != 0)).sum())
        lines.append(
            f"of the {calls.n_called} called edges {right} are true "
            f"({right / calls.n_called:.0%}), {right / found.n_true:.0%} of the true edges"
        )
    return lines
