"""What the public face finds out with a trained model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd

from gpo_vae_jax import config_io
from gpo_vae_jax import progress as progress_of
from gpo_vae_jax.api.inputs import Prepared, dataset
from gpo_vae_jax.compilation_cache import use_compilation_cache
from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.evaluate import evaluation
from gpo_vae_jax.evaluate.comparison.compare import Comparison
from gpo_vae_jax.evaluate.comparison.compare import compare as compare_evaluations
from gpo_vae_jax.evaluate.files_out import write_files
from gpo_vae_jax.evaluate.knowledge import read_networks
from gpo_vae_jax.evaluate.network.calibration import edge_posterior, pairs_to_call
from gpo_vae_jax.evaluate.network.edge_calls import call_edges
from gpo_vae_jax.evaluate.network.edges import (
    edge_effects,
    edge_strengths,
    ranked_edges,
    with_calls,
)
from gpo_vae_jax.evaluate.network.ensemble import agreement_of, ensemble_network
from gpo_vae_jax.evaluate.report import write_report
from gpo_vae_jax.evaluate.results import Evaluation
from gpo_vae_jax.model.trained import Trained
from gpo_vae_jax.predict.cell_eval_pair import CellEvalPair, cell_eval_pair
from gpo_vae_jax.predict.predicted_cells import PredictionRequest, predict_cells


def evaluate(
    trained: Trained,
    prepared: Prepared,
    *,
    networks: Mapping[str, str | os.PathLike[str]] | Sequence[str] = (),
    progress: bool = False,
    **settings: Any,
) -> Evaluation:
    """Measure a trained model beside its baselines (docs/evaluation.md); nothing is written.

    Of several members the best is evaluated; iterate over `trained` to evaluate each.

    Args:
      trained: what `train` or `load` returned.
      prepared: the data that it was trained on.
      networks: known networks to compare with, by name: {"TRRUST": "trrust.tsv"}.
      progress: whether stages and bars are shown on standard error.
      settings: fields of `config.EvaluateConfig`, such as effect_particles=2500, seed=0.

    Returns:
      All numbers (`summary`, `table`), effects, edges and regulators.

    Raises:
      ConfigError: a setting is unknown or out of range.
      DataError: the data is not what the model was trained on, or a network cannot be read.
    """
    use_compilation_cache()
    chosen = config_io.from_dict(settings, EvaluateConfig, "evaluate")
    if isinstance(networks, Mapping):
        networks = [f"{name}={path}" for name, path in networks.items()]
    known = read_networks(networks)
    return evaluation.evaluate(
        trained,
        dataset(prepared, trained.config.data),
        chosen,
        known,
        say=progress_of.stages(progress),
        progress=progress,
    )


def predict(
    trained: Trained,
    prepared: Prepared,
    perturbations: str | Sequence[str],
    *,
    n_cells: int = 500,
    expected: bool = False,
    library_size: float | str = 10_000.0,
    quality: str = "good",
    control: bool = True,
    seed: int = 0,
) -> anndata.AnnData:
    """Predict cells under perturbations, seen or not.

    Of several members the best predicts.

    Args:
      trained: what `train` or `load` returned.
      prepared: the data that it was trained on: names, and library sizes where "observed".
      perturbations: names of treatments, or several joined by "+": ["A", "B", "A+B"]; "all" for
        every perturbation of the data.
      n_cells: cells of each perturbation; draws behind each mean where `expected`.
      expected: return expected counts, one row a perturbation, with their standard deviation over
        draws in the layer `sd`, instead of sampled cells.
      library_size: UMI counts of a cell, or "observed": those of good training cells.
      quality: "good", or "bad" for cells as they look when they fail quality control.
      control: whether control cells are predicted as well.
      seed: of the draws.

    Returns:
      Counts [cells, G]; `obs` has the perturbation (`perturbation`, `target_gene`), its `kind`
      (observed, combination, unseen gene), quality and library size of each cell.

    Raises:
      ConfigError: an argument is out of range.
      DataError: a perturbation is unknown.
    """
    use_compilation_cache()
    words = [perturbations] if isinstance(perturbations, str) else list(perturbations)
    request = PredictionRequest.checked(
        n_cells=n_cells,
        expected=expected,
        library_size=library_size,
        quality=quality,
        control=control,
        seed=seed,
    )
    return predict_cells(trained, dataset(prepared, trained.config.data), words, request)


def predict_test_cells(trained: Trained, prepared: Prepared, *, seed: int = 0) -> CellEvalPair:
    """Predict the test cells and return both, log-normalised alike, as cell-eval needs them.

    Of several members the best predicts. Write `predicted` and `real` with `write_h5ad`, or let
    `gpo-vae predict --for-cell-eval` do so (docs/evaluation.md).

    Args:
      trained: what `train` or `load` returned.
      prepared: the data that it was trained on.
      seed: of the draws.

    Returns:
      `predicted` and `real`, cells with `obs["target_gene"]`, the label of the `control`, the
      `target_sum` of the normalisation, and `notes` on perturbations without training cells.

    Raises:
      DataError: the data is not the model's, or has no test cells to predict.
    """
    use_compilation_cache()
    return cell_eval_pair(trained, dataset(prepared, trained.config.data), seed=seed)


def network(trained: Trained, *, threshold: float = 0.0, fdr: float | None = None) -> pd.DataFrame:
    """Return the learned gene regulatory network, from the strongest edge down.

    Args:
      trained: what `train` or `load` returned.
      threshold: only edges above this probability; by default every pair of different genes.
      fdr: only edges of perturbed sources that are called at this expected false discovery rate,
        by their calibrated probability (docs/method.md 8.10): of 100 edges called at 0.1 at least
        90 are expected to be right.

    Returns:
      One row an edge: rank, source, target, probability, posterior (the calibrated probability;
      for latent effects, which have no unit, only where `fdr` is given, and the probability
      itself), effect (the mean effect where the edge is there; its sign is that of the regulation),
      strength (what ranks edges: probability times |effect|, and the probability alone for latent
      effects), source_perturbed (whether the data perturbs the source: only such edges are learned
      from its cells) and target_perturbed. Of several members, means, with `probability_sd`,
      `n_called`, the number of members that give the edge more than 0.5, `stability`, their share,
      and `in_all`.

    Raises:
      ConfigError: the threshold or the rate is not between 0 and 1, or both are given.
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f"threshold={threshold} must be between 0 and 1")
    if fdr is not None and not 0 <= fdr <= 1:
        raise ConfigError(f"fdr={fdr} must be between 0 and 1")
    if fdr is not None and threshold:
        raise ConfigError("threshold and fdr both decide which edges are returned: give one")
    spec = trained.spec
    found = ensemble_network(trained)
    names, mean = list(trained.treatments), found.mean
    at_least = len(names) ** 2 if threshold == 0 else 0
    edges = ranked_edges(
        mean, names, trained.n_perturbed, threshold=threshold, at_least=at_least
    ).drop(columns=["above_threshold"])
    if fdr is not None or spec.model.effect == "propagated":
        posterior = np.mean([edge_posterior(one.params, spec=spec) for one in trained.members], 0)
        calls = call_edges(posterior, pairs_to_call(spec), 0.0 if fdr is None else fdr)
        edges = with_calls(edges, calls, names)
        edges = edges if fdr is None else edges[edges["called"]]
        edges = edges.drop(columns=["called"])
    place = {name: i for i, name in enumerate(names)}
    rows, columns = edges["source"].map(place), edges["target"].map(place)
    at = list(edges.columns).index("source_perturbed")
    for name, of in (("effect", edge_effects), ("strength", edge_strengths)):
        values = [of(one.params, spec=spec) for one in trained.members]
        edges.insert(at, name, np.mean(values, axis=0)[rows, columns])
        at += 1
    if len(trained) > 1:
        for name, values in agreement_of(found, list(rows), list(columns)).items():
            edges.insert(at, name, values)
            at += 1
    edges = edges.sort_values("strength", ascending=False, kind="stable", ignore_index=True)
    return edges.assign(rank=np.arange(1, len(edges) + 1))


def compare(
    evaluations: Mapping[str, Evaluation] | Sequence[Evaluation], *, different_data: bool = False
) -> Comparison:
    """Put evaluations side by side: their metrics, and how far their networks agree.

    Args:
      evaluations: two or more, by name; those of a sequence are named by their seeds.
      different_data: whether models trained on different data may be compared.

    Returns:
      `metrics`: a row for every metric with the value of each evaluation, their mean, standard
      deviation and differences from the first; `edges`: shared edges of every two networks,
      beside what chance would share.

    Raises:
      ConfigError: there are fewer than two, or two have one name.
      DataError: the treatments differ, or the data.
    """
    if not isinstance(evaluations, Mapping):
        named = {f"seed {one.summary['run']['seed']}": one for one in evaluations}
        if len(named) < len(evaluations):
            raise ConfigError("two evaluations have one seed: give names, {'A': ..., 'B': ...}")
        evaluations = named
    return compare_evaluations(evaluations, different_data=different_data)


def report(result: Evaluation, folder: str | os.PathLike[str]) -> Path:
    """Write an evaluation into a folder: report.html, tables, effects.h5ad, plots.

    Args:
      result: what `evaluate` returned.
      folder: made where it does not exist; files of an earlier evaluation are replaced.

    Returns:
      The path of report.html, a page without external files.

    Raises:
      DataError: the folder cannot be written to.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    write_files(path, result)
    return write_report(path, result)
