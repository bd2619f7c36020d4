"""A plausible evaluation of any size from a seed, for tests and for looking at the report."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.effects.effect_table import perturbation_table
from gpo_vae_jax.evaluate.network.edges import ranked_edges
from gpo_vae_jax.evaluate.network.regulators import regulators
from gpo_vae_jax.evaluate.results import Effects, Evaluation

METRICS = ("pearson", "r2", "pearson_top", "r2_top", "jaccard_20", "jaccard_50")


def example(
    *,
    n_perturbed: int = 20,
    n_extended: int = 6,
    n_genes: int = 120,
    epochs: int = 40,
    seed: int = 0,
    best: str = "train_mean",
    name: str = "example",
    probabilities: np.ndarray | None = None,
    history: pd.DataFrame | None = None,
) -> Evaluation:
    """Make up an evaluation.

    Some perturbations are missed: the model predicts hardly any effect for them.

    Args:
      n_perturbed: R.
      n_extended: T - R.
      n_genes: G.
      epochs: of the history.
      seed: of all numbers.
      best: "train_mean" or "model": which one predicts better on test cells.
      name: of the run.
      probabilities: [T, T] of edges; drawn where None.
      history: made up where None.
    """
    random = np.random.default_rng(seed)
    treatments = tuple(f"GENE{i:04d}" for i in range(n_perturbed + n_extended))
    genes = tuple(f"GENE{i:04d}" for i in range(n_genes))
    if probabilities is None:
        shape = (len(treatments),) * 2
        probabilities = random.beta(1.2, 5, shape) * np.linspace(1, 0.7, shape[0])[:, None]
        probabilities[random.random(shape) < 0.08] += 0.45
        probabilities = probabilities.clip(0, 1)
    edges = ranked_edges(probabilities, treatments, n_perturbed)
    if history is None:
        history = example_history(epochs, random)
    effects = _effects(random, treatments[:n_perturbed], genes, best)
    return Evaluation(
        summary=_summary(random, probabilities, n_perturbed, n_genes, history, best, name),
        effects=effects,
        probabilities=probabilities,
        treatments=treatments,
        n_perturbed=n_perturbed,
        edges=edges,
        regulators=regulators(probabilities, treatments, n_perturbed),
        curve=_curve(random),
        history=history,
        perturbations=perturbation_table(effects, {label: (label,) for label in effects.labels}),
    )


def with_summary(evaluation: Evaluation, **changes: object) -> Evaluation:
    """Return the evaluation with entries of its summary replaced."""
    return dataclasses.replace(evaluation, summary={**evaluation.summary, **changes})


def with_screen(evaluation: Evaluation, n_genes: int = 6, n_kinds: int = 4) -> Evaluation:
    """Return the evaluation with three guides of each of some genes, and kinds of controls.

    Of every third gene the last guide does nothing; of the second gene the first disagrees.
    """
    random = np.random.default_rng(0)
    rows = []
    for i in range(n_genes):
        for k in range(3):
            verdict = "no effect" if i % 3 == 0 and k == 2 else "works"
            verdict = "disagrees" if (i, k) == (1, 0) else verdict
            works = verdict == "works"
            rows.append(
                {
                    "gene": f"GENE{i:04d}",
                    "guide": f"GENE{i:04d}_sg{k + 1}",
                    "cells": 60 + k,
                    "log2_fold_change": -2.0 * works + random.normal(0, 0.2),
                    "standard_error": 0.15,
                    "p_value": 1e-6 if works else 0.5,
                    "genes_changed": 9 * works,
                    "agreement": 0.8 * works,
                    "share": 1.1 * works,
                    "others_work": 2 - (i % 3 == 0 and k < 2) - (i == 1 and k > 0),
                    "verdict": verdict,
                }
            )
    kinds = [
        {
            "kind": f"NT-{i}",
            "cells": 300 - i,
            "median_umi": 3000.0,
            "median_genes": 900.0,
            "genes_changed": 12.0 * (i == 1),
            "top_genes": "GENE0001" if i == 1 else "",
            "verdict": "stands out" if i == 1 else "alike",
        }
        for i in range(n_kinds)
    ]
    return dataclasses.replace(
        evaluation, guides=pd.DataFrame(rows), control_kinds=pd.DataFrame(kinds)
    )


def example_history(epochs: int, random: np.random.Generator) -> pd.DataFrame:
    """Make up the columns of metrics.csv."""
    epoch = np.arange(epochs)
    columns: dict[str, np.ndarray] = {"epoch": epoch, "step": 15 * (epoch + 1)}
    terms = ("reconstruction", "mask", "embedding", "quality", "basal", "counterfactual_kl", "grn")
    for which in ("train", "val"):
        for i, term in enumerate((*terms, "penalty")):
            start, end = 100 / (i + 1), 60 / (i + 1)
            fall = end + (start - end) * np.exp(-epoch / 8)
            columns[f"{which}_{term}"] = fall + random.normal(0, 0.01 * start, epochs)
        names = [f"{which}_{term}" for term in (*terms, "penalty")]
        columns[f"{which}_loss"] = np.sum([columns[name] for name in names], axis=0)
    columns["gradient_norm"] = 10 * np.exp(-epoch / 10) + random.gamma(2, 0.3, epochs)
    columns["edges_0.5"] = np.round(60 * (1 - np.exp(-epoch / 12)))
    columns["block_edges_0.5"] = np.round(40 * (1 - np.exp(-epoch / 12)))
    return pd.DataFrame(columns)


def _effects(random, labels, genes, best: str) -> Effects:
    shape = (len(labels), len(genes))
    true = random.laplace(0, 0.08, shape) * random.gamma(1.0, 1.0, (len(labels), 1))
    true += random.laplace(0, 0.05, shape[1])
    row = np.arange(min(shape))
    true[row, row] -= 2.0
    noise = {"reference": 0.03, "held_out": 0.10, "train_mean": 0.05, "model": 0.10}
    if best == "model":
        noise.update(train_mean=0.12, model=0.04)
    found = {key: true + random.normal(0, scale, shape) for key, scale in noise.items()}
    found["model"] *= 0.8
    found["model"][3::7] *= 0.02  # missed
    found["model"][3::7] += random.normal(0, 0.1, found["model"][3::7].shape)

    def both(values):
        return {"perturbseq": values, "mean": 3 * values}

    cells = {
        "train": random.integers(60, 200, len(labels)),
        "val": random.integers(15, 50, len(labels)),
        "test": random.integers(20, 60, len(labels)),
    }
    return Effects(
        labels=tuple(labels),
        genes=tuple(genes),
        model=both(found["model"]),
        spread=both(np.full(shape, 0.3)),
        reference=both(found["reference"]),
        held_out=both(found["held_out"]),
        train_mean=both(found["train_mean"]),
        n_cells=cells,
    )


def _summary(random, probabilities, n_perturbed, n_genes, history, best, name) -> dict:
    off = ~np.eye(len(probabilities), dtype=bool)
    called = (probabilities > 0.5) & off
    n_all = int(called[:n_perturbed].sum())
    n_block = int(called[:n_perturbed, :n_perturbed].sum())
    model, mean = (0.54, 0.66) if best == "train_mean" else (0.71, 0.66)
    losses = history["val_loss"] if len(history) else pd.Series([1.0])
    return {
        "run": {
            "name": name,
            "workdir": "runs/example",
            "options": {"data_path": "", "networks": ["STRING=string:links.txt,info.txt"]},
            "seed": 0,
            "device": "cpu: cpu",
            "versions": {"gpo_vae_jax": "0.1.0", "jax": "0.10.2", "numpy": "2.4.6"},
            "data": {
                "path": "data/example.h5ad",
                "cells": {"train": 3840, "val": 960, "test": 1200},
                "n_genes": n_genes,
                "n_treatments": len(probabilities),
                "n_perturbed": n_perturbed,
            },
            "epochs": len(history),
            "best_epoch": int(losses.to_numpy().argmin()),
            "best_loss": float(losses.min()),
        },
        "settings": dataclasses.asdict(EvaluateConfig()),
        "predictive_iwelbo": {
            "mean": -213.4,
            "standard_error": 0.8,
            "n_cells": 1200,
            "n_particles": 100,
        },
        "effects": {
            transform: {
                "reference": _metrics(random, model + 0.1, mean + 0.2),
                "held_out": _metrics(random, model, mean),
            }
            for transform in ("perturbseq", "mean")
        },
        "quality": {
            "reference": {"3": 0.83, "4": 0.93, "5": 0.97},
            "observed": {"3": 0.91, "4": 0.96, "5": 0.99},
        },
        "network": {
            "n_edges": n_all,
            "n_edges_block": n_block,
            "shares": {"ge_0.5": 0.04, "ge_0.8": 0.001, "le_0.2": 0.7},
            "block": _statistics(random, n_block),
            "all": _statistics(random, n_all),
            "upstream": {
                "false_omission_rate": 0.12,
                "paths": [{"length": 2, "n": 80, "true_positives": 20, "mean_wasserstein": 0.13}],
            },
        },
        "known_networks": {
            key: {
                "n_known": 40 * (i + 1),
                "n_possible": 380,
                "n_called": n_block,
                "n_shared": 2 * (i + 1),
                "precision": 0.08 * (i + 1),
                "recall": 0.1,
                "random_precision": 0.06 * (i + 1),
                "auprc": 0.07 * (i + 1),
                "random_auprc": 0.06 * (i + 1),
                "auroc": 0.56,
            }
            for i, key in enumerate(("biogrid", "corum", "regnetwork", "string", "union"))
        },
        "truth": None,
        "calibration": {
            "n_called": n_all,
            "stated_precision": 0.91,
            "stated_by": "posterior",
            "truth": None,
            "known_networks": {
                "precision": 0.12,
                "recall": 0.2,
                **{
                    of: {
                        "expected_calibration_error": 0.03 * (i + 1),
                        "bin_1": {"n_pairs": 300, "stated": 0.02, "observed": 0.05},
                        "bin_10": {"n_pairs": 40, "stated": 0.97, "observed": 0.15 - 0.05 * i},
                    }
                    for i, of in enumerate(("posterior", "probability"))
                },
            },
        },
    }


def _metrics(random, model: float, mean: float) -> dict:
    levels = {"model": model, "train_mean": mean, "global_mean": 0.41, "ceiling": 0.72}
    scale = {"pearson": 1, "r2": 0.6, "pearson_top": 1.1, "r2_top": 0.8, "jaccard_20": 0.4}
    return {
        who: {
            metric: round(level * scale.get(metric, 0.45) + random.normal(0, 0.01), 4)
            for metric in METRICS
        }
        for who, level in levels.items()
    }


def _statistics(random, n: int) -> dict:
    judged = int(0.9 * n)
    positives = int(0.45 * judged)
    return {
        "edges": {
            "n": n,
            "n_evaluable": judged,
            "true_positives": positives,
            "false_positives": judged - positives,
            "mean_wasserstein": 0.28 if n else float("nan"),
        },
        "paths": [
            {
                "length": length,
                "n": n * length,
                "true_positives": n // 2,
                "false_positives": n * length - n // 2,
                "mean_wasserstein": 0.2 / length if n else float("nan"),
            }
            for length in (2, 3)
        ],
        "false_omission_rate": 0.08,
        "n_omission_pairs": 500,
    }


def _curve(random) -> pd.DataFrame:
    rows = []
    for which, level in (("all", 0.26), ("block", 0.24)):
        for edges in (500, 1000, 2000, 3000):
            rows.append(
                {
                    "set": which,
                    "edges": edges,
                    "threshold": 0.6 - edges / 1e4,
                    "mean_wasserstein": level * (500 / edges) ** 0.12,
                    "true_positive_share": 2 * level * (500 / edges) ** 0.15,
                    "random_mean_wasserstein": 0.14 if which == "all" else 0.13,
                    "random_true_positive_share": 0.17 if which == "all" else 0.16,
                }
            )
    return pd.DataFrame(rows)
