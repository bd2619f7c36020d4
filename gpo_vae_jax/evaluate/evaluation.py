"""One evaluation of one trained model, stage by stage, in memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.effects.effect_table import perturbation_table
from gpo_vae_jax.evaluate.effects.generated_quality import quality_ratio
from gpo_vae_jax.evaluate.effects.model_effects import average_effects, monte_carlo_errors
from gpo_vae_jax.evaluate.effects.observed_effects import conditions_of_labels
from gpo_vae_jax.evaluate.effects.unseen import unseen_metrics
from gpo_vae_jax.evaluate.knowledge import KnownNetwork
from gpo_vae_jax.evaluate.network.agreement import agreements, placed_networks, with_known
from gpo_vae_jax.evaluate.network.baseline_rankings import baseline_rankings
from gpo_vae_jax.evaluate.network.calibration import calls_of, pairs_to_call
from gpo_vae_jax.evaluate.network.edge_calls import calibration_against
from gpo_vae_jax.evaluate.network.edges import (
    edge_effects,
    edge_probabilities,
    edge_strengths,
    ranked_edges,
    with_calls,
    with_observed,
)
from gpo_vae_jax.evaluate.network.latents import truth_metrics
from gpo_vae_jax.evaluate.network.network_stats import network_statistics
from gpo_vae_jax.evaluate.network.pair_tests import compare_cells
from gpo_vae_jax.evaluate.network.ranking_scores import explained_shares, ranking_scores
from gpo_vae_jax.evaluate.network.regulators import regulators
from gpo_vae_jax.evaluate.predictive_bound import predictive_iwelbo_of_split
from gpo_vae_jax.evaluate.results import Evaluation
from gpo_vae_jax.model.trained import Trained
from gpo_vae_jax.predict.conditions import conditions_of
from gpo_vae_jax.predict.mean_effects import acting_shares, mean_effects
from gpo_vae_jax.predict.predicted_cells import check_names
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.statistics.pair_changes import pair_changes
from gpo_vae_jax.types import Dataset, Params

_DEFAULT = EvaluateConfig()


def evaluate(
    trained: Trained,
    dataset: Dataset,
    settings: EvaluateConfig = _DEFAULT,
    known: Sequence[KnownNetwork] = (),
    *,
    say: Callable[[str], None] = lambda stage: None,
    progress: bool = False,
    origin: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Evaluate the best member of a trained model (docs/method.md 8); nothing is written.

    Args:
      trained: the model.
      dataset: the data that it was trained on.
      settings: of the evaluation.
      known: known networks to compare with.
      say: called with the name of each stage as it starts.
      progress: whether bars are shown on standard error.
      origin: folders and files of the caller ("workdir", "data_path", "networks", "output"), for
        the record.

    Raises:
      DataError: the data is not the model's, or no gene of a known network is in its network.
    """
    check_names(trained, dataset)
    params, spec = trained.params, trained.spec
    treatments, n_perturbed = dataset.treatments, dataset.n_perturbed
    placed = placed_networks(known, treatments, dataset.conventions.aliases)
    say("predictive IWELBO")
    bound = predictive_iwelbo_of_split(
        params, dataset.splits["test"], spec=spec,
        seed=settings.seed, n_particles=settings.iwelbo_particles,
        memory_gib=settings.memory_gib, progress=progress,
    )  # fmt: skip
    say("average treatment effects")
    effects, metrics = average_effects(params, dataset, settings, spec=spec, progress=progress)
    acting = acting_shares(params, conditions_of_labels(dataset, effects.labels), spec=spec)
    say("quality of generated cells")
    quality = quality_ratio(params, dataset, settings, spec=spec)
    say("network statistics")
    probabilities = edge_probabilities(params, spec=spec)
    strengths = edge_strengths(params, spec=spec)
    tables = compare_cells(dataset, settings)
    network, curve = network_statistics(probabilities, tables, treatments, n_perturbed, settings)
    network["explained"] = explained_shares(probabilities, n_perturbed)
    say("known networks, truth and rankings")
    change, error = pair_changes(dataset)
    calls = calls_of(params, settings.fdr, spec=spec)
    listed = ranked_edges(probabilities, treatments, n_perturbed, threshold=settings.threshold)
    if spec.model.effect == "propagated":
        listed = with_calls(listed, calls, treatments)
    edges = with_observed(listed, treatments, edge_effects(params, spec=spec), change, error)
    measured = np.isin(treatments, dataset.genes)
    rankings = ranking_scores(
        {"model": strengths, **baseline_rankings(change, error, seed=settings.seed)},
        tables, network["n_edges_perturbed"], settings,
        truth=dataset.true_network, known=placed, measured=measured,
    )  # fmt: skip
    truth = None
    if dataset.true_network is not None:
        labels = sorted(set(dataset.true_effects or ()))
        latents = latent_effects(params, dataset, labels, settings.seed, spec=spec)
        truth = truth_metrics(
            probabilities, dataset, latents, threshold=settings.threshold, ranking=strengths
        )
    summary = {
        "run": _describe(trained, dataset, origin or {}),
        "settings": dataclasses.asdict(settings),
        "predictive_iwelbo": {
            "mean": float(bound.mean()),
            "standard_error": float(bound.std(ddof=1) / np.sqrt(len(bound))),
            "n_cells": len(bound),
            "n_particles": settings.iwelbo_particles,
        },
        "effects": metrics,
        "unseen": unseen_metrics(effects, dataset, settings),
        "monte_carlo": monte_carlo_errors(effects),
        "quality": quality,
        "network": network,
        "curve": curve.to_dict("records"),
        "known_networks": agreements(
            probabilities, placed, n_perturbed, threshold=settings.threshold, measured=measured
        ),
        "truth": truth,
        "calibration": calibration_against(
            calls,
            probabilities,
            dataset.true_network,
            placed,
            pairs_to_call(spec),
            calibrated=spec.model.effect == "propagated",
        ),
        "rankings": rankings,
    }
    history = trained.best.history
    return Evaluation(
        summary=summary,
        effects=effects,
        probabilities=probabilities,
        treatments=treatments,
        n_perturbed=n_perturbed,
        edges=with_known(edges, placed, treatments),
        regulators=regulators(probabilities, treatments, n_perturbed, threshold=settings.threshold),
        curve=curve,
        history=history if len(history) else None,
        perturbations=perturbation_table(effects, dataset.label_genes, acting),
        guides=pd.DataFrame(list(dataset.screen.guides)),
        control_kinds=pd.DataFrame(list(dataset.screen.control_kinds)),
    )


def latent_effects(
    params: Params, dataset: Dataset, labels: Sequence[str], seed: int, *, spec: Spec
) -> dict[str, np.ndarray]:
    """Return the mean latent effect D(E * M) of each label, [T], over draws from the guide."""
    spec = spec.of_model
    known = set(dataset.treatments[: spec.sizes.n_perturbed])
    genes = {label: dataset.label_genes.get(label) for label in labels}
    found = {name: of for name, of in genes.items() if of is not None and known.issuperset(of)}
    if not found:
        return {}
    conditions = conditions_of(list(found.values()), dataset.treatments)
    effects = mean_effects(params, conditions, seed, spec=spec)
    return dict(zip(found, np.asarray(effects), strict=True))


def _describe(trained: Trained, dataset: Dataset, origin: Mapping[str, Any]) -> dict[str, Any]:
    about, member = trained.description, trained.best
    path = trained.config.data.path
    known = math.isfinite(member.best_loss)
    return {
        "name": trained.config.name,
        "workdir": origin.get("workdir"),
        "options": {name: origin.get(name) for name in ("data_path", "networks", "output")},
        "seed": member.seed,
        "device": about.get("device"),
        "versions": about.get("versions", {}),
        "data": {
            "path": path or ("simulated" if trained.config.data.simulated else "in memory"),
            "fingerprint": about.get("data", {}).get("fingerprint"),
            "cells": {name: len(split.cells.weight) for name, split in dataset.splits.items()},
            "n_genes": len(dataset.genes),
            "n_treatments": len(dataset.treatments),
            "n_perturbed": dataset.n_perturbed,
        },
        "epochs": member.n_epochs,
        "best_epoch": member.best_epoch if known else None,
        "best_loss": member.best_loss if known else None,
    }
