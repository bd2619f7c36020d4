"""From a run folder to its network's files, and a few lines about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpo_vae_jax.evaluate.edges import edge_probabilities, write_network
from gpo_vae_jax.evaluate.recovery import recovery
from gpo_vae_jax.train import load_best
from gpo_vae_jax.types import Sizes


def export_network(
    workdir: str | Path, *, threshold: float = 0.5, at_least: int = 200, show: int = 10
) -> list[str]:
    """Write grn.csv, edges.csv and edges.graphml into a run's folder (see edges.write_network).

    Returns:
      Lines for people: what was written, the most probable edges, and, where the data came with
      its true network, how well that was recovered.

    Raises:
      TrainingError: the folder holds no finished checkpoint.
    """
    params, config, run = load_best(workdir)
    sizes = Sizes(**run["sizes"])
    names, n_perturbed = run["treatments"], run["n_perturbed"]
    probabilities = edge_probabilities(params, config.model, sizes)
    edges = write_network(
        workdir, probabilities, names, n_perturbed, threshold=threshold, at_least=at_least
    )
    above = int(edges["above_threshold"].sum())
    lines = [
        f"{workdir}/grn.csv: {len(names)} x {len(names)} edge probabilities",
        f"{workdir}/edges.csv, edges.graphml: {len(edges)} edges, {above} above {threshold:g}",
        f"the {min(show, len(edges))} most probable edges:",
    ]
    lines += [
        f"  {edge.rank:3d}  {edge.source} -> {edge.target}  {edge.probability:.3f}"
        for edge in edges.head(show).itertuples()
    ]
    truth = run.get("true_edges")
    if truth:
        index = {name: i for i, name in enumerate(names)}
        matrix = np.zeros((len(names), len(names)))
        for source, target, weight in truth:
            matrix[index[source], index[target]] = weight
        try:
            found = recovery(probabilities, matrix, n_perturbed)
        except ValueError as error:
            return [*lines, f"against the true network: {error}"]
        lines.append(
            f"against the true network ({found.n_true} of {found.n_possible} edges): AUPRC "
            f"{found.auprc:.3f}, {found.ratio:.1f} times the {found.random_auprc:.3f} of a random "
            f"ranking; AUROC {found.auroc:.3f}"
        )
    return lines
