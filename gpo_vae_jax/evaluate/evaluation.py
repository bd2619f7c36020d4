"""One evaluation of one run, stage by stage."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.effects.generated_quality import quality_ratio
from gpo_vae_jax.evaluate.effects.model_effects import average_effects
from gpo_vae_jax.evaluate.files_out import write_files
from gpo_vae_jax.evaluate.knowledge import KnownNetwork, read_networks
from gpo_vae_jax.evaluate.network.agreement import agreements, placed_networks, with_known
from gpo_vae_jax.evaluate.network.edges import edge_probabilities, ranked_edges
from gpo_vae_jax.evaluate.network.latents import truth_metrics
from gpo_vae_jax.evaluate.network.network_stats import network_statistics
from gpo_vae_jax.evaluate.network.pair_tests import compare_cells
from gpo_vae_jax.evaluate.network.regulators import regulators
from gpo_vae_jax.evaluate.predictive_bound import predictive_iwelbo_of_split, sample_shared
from gpo_vae_jax.evaluate.report import write_report
from gpo_vae_jax.evaluate.results import Evaluation
from gpo_vae_jax.model import sample_shared_noise
from gpo_vae_jax.runs.opened_run import OpenedRun, open_run

_DEFAULT = EvaluateConfig()
_LATENT_PARTICLES = 100


def evaluate_run(
    workdir: str | Path,
    settings: EvaluateConfig = _DEFAULT,
    *,
    networks: Sequence[str] = (),
    data_path: str = "",
    output: str | Path = "",
    progress: bool = True,
) -> tuple[Evaluation, list[Path]]:
    """Evaluate a run and write what was found into its folder, or into `output`.

    Args:
      networks: known networks, NAME=FILE or NAME=FORMAT:FILE (docs/evaluation.md).
      data_path: the prepared file, if it is not where it was.

    Raises:
      TrainingError: the folder holds no finished checkpoint.
      DataError: the data or a known network cannot be read.
      ConfigError: a setting, or the text of a known network, cannot be used.
    """
    say = _stages(progress)
    say("reading the run, its data and the known networks")
    known = read_networks(networks)
    run = open_run(workdir, data_path)
    evaluation = evaluate(run, workdir, settings, known, say=say, progress=progress)
    say("writing the tables and the report")
    folder = Path(output or workdir)
    folder.mkdir(parents=True, exist_ok=True)
    paths = write_files(folder, evaluation)
    paths.append(write_report(folder, evaluation))
    say("done")
    return evaluation, paths


def evaluate(
    run: OpenedRun,
    workdir: str | Path,
    settings: EvaluateConfig = _DEFAULT,
    known: Sequence[KnownNetwork] = (),
    *,
    say: Callable[[str], None] = lambda stage: None,
    progress: bool = False,
) -> Evaluation:
    """Evaluate a run and give what was found (docs/method.md 8); nothing is written.

    Raises:
      DataError: no gene of a known network is in the run's network.
    """
    dataset, model = run.dataset, run.trained
    treatments, n_perturbed = dataset.treatments, dataset.n_perturbed
    placed = placed_networks(known, treatments, dataset.conventions.aliases)
    say("predictive IWELBO")
    bound = predictive_iwelbo_of_split(
        model.params, dataset.splits["test"], config=model.config, sizes=model.sizes,
        seed=settings.seed, n_particles=settings.iwelbo_particles,
        memory_gib=settings.memory_gib, progress=progress,
    )  # fmt: skip
    say("average treatment effects")
    effects, metrics = average_effects(model, dataset, settings, progress=progress)
    say("quality of generated cells")
    quality = quality_ratio(model, dataset, settings)
    say("network statistics")
    probabilities = edge_probabilities(*model)
    tables = compare_cells(dataset, settings)
    network, curve = network_statistics(probabilities, tables, treatments, n_perturbed, settings)
    say("known networks and truth")
    edges = ranked_edges(probabilities, treatments, n_perturbed, threshold=settings.threshold)
    measured = np.isin(treatments, dataset.genes)
    truth = None
    if dataset.true_network is not None:
        latents = latent_effects(run, sorted(set(dataset.true_effects or ())), settings.seed)
        truth = truth_metrics(probabilities, dataset, latents, threshold=settings.threshold)
    summary = {
        "run": _describe(run, Path(workdir)),
        "settings": dataclasses.asdict(settings),
        "predictive_iwelbo": {
            "mean": float(bound.mean()),
            "standard_error": float(bound.std(ddof=1) / np.sqrt(len(bound))),
            "n_cells": len(bound),
            "n_particles": settings.iwelbo_particles,
        },
        "effects": metrics,
        "quality": quality,
        "network": network,
        "curve": curve.to_dict("records"),
        "known_networks": agreements(
            probabilities, placed, n_perturbed, threshold=settings.threshold, measured=measured
        ),
        "truth": truth,
    }
    history = Path(workdir) / "metrics.csv"
    return Evaluation(
        summary=summary,
        effects=effects,
        probabilities=probabilities,
        treatments=treatments,
        n_perturbed=n_perturbed,
        edges=with_known(edges, placed, treatments),
        regulators=regulators(probabilities, treatments, n_perturbed, threshold=settings.threshold),
        curve=curve,
        history=pd.read_csv(history) if history.exists() else None,
    )


def latent_effects(run: OpenedRun, labels: Sequence[str], seed: int) -> dict[str, np.ndarray]:
    """Return the mean latent effect D(E * M) of each label, [T], over draws from the guide."""
    params, config, sizes = run.trained
    noise = sample_shared_noise(jax.random.key(seed), config, sizes, _LATENT_PARTICLES)
    rows = np.asarray(sample_shared(params, noise, config=config, sizes=sizes).effect.mean(0))
    column = {name: i for i, name in enumerate(run.dataset.treatments[: sizes.n_perturbed])}
    found = {}
    for label in labels:
        genes = run.dataset.label_genes.get(label)
        if genes is not None and all(gene in column for gene in genes):
            found[label] = sum((rows[column[gene]] for gene in genes), np.zeros(rows.shape[1]))
    return found


def _describe(run: OpenedRun, workdir: Path) -> dict[str, Any]:
    said, dataset = run.description, run.dataset
    result = workdir / "result.json"
    ended = json.loads(result.read_text()) if result.exists() else {}
    return {
        "name": run.config.name,
        "workdir": str(workdir),
        "seed": run.config.train.seed,
        "device": said["device"],
        "versions": said["versions"],
        "data": {
            "path": run.config.data.path or "simulated",
            "fingerprint": said["data"]["fingerprint"],
            "cells": said["data"]["cells"],
            "n_genes": len(dataset.genes),
            "n_treatments": len(dataset.treatments),
            "n_perturbed": dataset.n_perturbed,
        },
        "epochs": ended.get("n_epochs"),
        "best_epoch": ended.get("best_epoch"),
        "best_loss": ended.get("best_loss"),
    }


def _stages(progress: bool) -> Callable[[str], None]:
    """Return a function that says on stderr what begins, and how long everything has taken."""
    start = time.perf_counter()

    def say(stage: str) -> None:
        if progress:
            print(f"[{time.perf_counter() - start:6.1f} s] {stage}", file=sys.stderr)

    return say
