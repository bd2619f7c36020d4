"""Perturbations that no training cell carries, scored apart (docs/method.md 8.11).

A mean over training cells cannot predict them, so other baselines stand beside the model: the sum
of single effects, the knock-down alone, the mean effect of all perturbations. The change of the
perturbed genes themselves is no news. Skill is therefore judged on all other genes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.effect_sources import UNSEEN_BASELINES, UNSEEN_PREDICTIONS
from gpo_vae_jax.evaluate.effects import baselines
from gpo_vae_jax.evaluate.effects.effect_arrays import Effects
from gpo_vae_jax.evaluate.effects.effect_metrics import effect_metrics
from gpo_vae_jax.statistics.correlation import row_pearson
from gpo_vae_jax.types import Dataset

_TRANSFORM = "perturbseq"
_EVEN = 0.005  # correlations closer than this are called equal
_ERRORS = 2.0  # standard errors by which skill must exceed the best baseline
_FEWEST = 3  # perturbations of which skill can be said


def kind_of(genes: Sequence[str], seen: Collection[str], alone: Collection[str]) -> str:
    """Return what training has seen of an unseen perturbation: one of `effect_sources.UNSEEN`.

    Args:
      genes: that it perturbs.
      seen: genes that training cells perturb.
      alone: genes that training cells perturb alone.
    """
    n_seen = sum(gene in seen for gene in genes)
    if len(genes) == 1:
        return "gene_in_combinations" if n_seen and genes[0] not in alone else "gene"
    if n_seen == len(genes):
        return "combination_all_seen"
    return "combination_part_seen" if n_seen else "combination_none_seen"


def unseen_kinds(effects: Effects, label_genes: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the kind of each of C perturbations; "" for those with training cells."""
    trained = effects.n_cells["train"] > 0
    groups = [label_genes.get(label, ()) for label in effects.labels]
    of_training = [group for group, there in zip(groups, trained, strict=True) if there]
    seen = {gene for group in of_training for gene in group}
    alone = {group[0] for group in of_training if len(group) == 1}
    return [
        "" if there else kind_of(group, seen, alone)
        for group, there in zip(groups, trained, strict=True)
    ]


def unseen_metrics(effects: Effects, dataset: Dataset, settings: EvaluateConfig) -> dict[str, Any]:
    """Return scores on test cells of perturbations without training cells, by kind.

    Args:
      effects: of the model, the data and the baselines.
      dataset: the data.
      settings: of the evaluation.

    Returns:
      For each kind that there is, and for "all" where there are several: `n_perturbations`, the
      metrics of each source (differences of log2(1 + counts per 10,000)), and `skill`. Empty where
      every perturbation of the test cells has training cells.
    """
    observed = effects.held_out[_TRANSFORM]
    kinds = np.array(unseen_kinds(effects, dataset.label_genes), dtype=object)
    tested = np.isfinite(observed).all(axis=1)
    sources = {name: _predicted(effects, name) for name in UNSEEN_PREDICTIONS}
    rows = {str(kind): tested & (kinds == kind) for kind in sorted(set(kinds) - {""})}
    rows = {kind: at for kind, at in rows.items() if at.any()}
    if not rows:
        return {}
    if len(rows) > 1:
        rows["all"] = np.any(list(rows.values()), axis=0)
    halves = baselines.ceiling(baselines.halves_of(dataset, effects.labels, settings.seed, "test"))
    own = _own_genes(effects, dataset.label_genes)
    return {
        kind: _scores(
            observed[at],
            effects.observed_errors["held_out"][_TRANSFORM][at],
            {name: values[at] for name, values in sources.items()},
            [half[_TRANSFORM][at] for half in halves],
            own[at],
            settings,
        )
        for kind, at in rows.items()
    }


def others_of(
    effects: Effects, source: str, label_genes: Mapping[str, tuple[str, ...]]
) -> np.ndarray:
    """Return r of each perturbation over the genes that it does not perturb, [C] (test cells)."""
    own = _own_genes(effects, label_genes)
    return _without_own(effects.held_out[_TRANSFORM], _predicted(effects, source), own)


def _predicted(effects: Effects, source: str) -> np.ndarray:
    if source == "global_mean":
        return baselines.global_mean(effects.train_mean[_TRANSFORM])
    return getattr(effects, source)[_TRANSFORM]


def _scores(
    observed: np.ndarray,
    error: np.ndarray,
    sources: Mapping[str, np.ndarray],
    halves: Sequence[np.ndarray],
    own: np.ndarray,
    settings: EvaluateConfig,
) -> dict[str, Any]:
    compare = partial(effect_metrics, top=settings.top, top_sets=settings.top_sets)
    others = {name: _without_own(observed, values, own) for name, values in sources.items()}
    found: dict[str, Any] = {"n_perturbations": len(observed)}
    for name, values in sources.items():
        of_others = {"pearson_others": _mean(others[name])}
        found[name] = compare(observed, values, error=error) | of_others
    first, second, of_first = halves
    of_others = {"pearson_others": _mean(_without_own(first, second, own))}
    found["ceiling"] = compare(first, second, error=of_first) | of_others
    return found | {"skill": skill(others)}


def skill(others: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return how far the model is ahead of the best baseline, and a verdict.

    Args:
      others: by source, r of each perturbation over the genes that it does not perturb. Where it is
        nan, the source predicts no change of them, which counts as 0.

    Returns:
      `baseline`, the best one by mean r; `difference`, the mean over perturbations of the model's r
      minus its r; `standard_error` of that mean; `verdict`: "skill" where the difference exceeds
      two standard errors, of three perturbations or more; "unclear" where it exceeds 0.005 only;
      "none" otherwise, or where the model's own mean r does not exceed that.
    """
    r = {name: np.nan_to_num(values) for name, values in others.items()}
    best = max(UNSEEN_BASELINES, key=lambda name: float(r[name].mean()))
    ahead = r["model"] - r[best]
    n, mean = len(ahead), float(ahead.mean())
    error = float(ahead.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    verdict = "unclear"
    if mean <= _EVEN or float(r["model"].mean()) <= _EVEN:
        verdict = "none"
    elif n >= _FEWEST and mean > _ERRORS * error:
        verdict = "skill"
    return {
        "baseline": best,
        "difference": mean,
        "standard_error": error,
        "verdict": verdict,
    }


def _own_genes(effects: Effects, label_genes: Mapping[str, tuple[str, ...]]) -> np.ndarray:
    """Return which genes each perturbation perturbs, [C, G] bool."""
    column = {gene: i for i, gene in enumerate(effects.genes)}
    own = np.zeros((len(effects.labels), len(effects.genes)), bool)
    for row, label in zip(own, effects.labels, strict=True):
        row[[column[gene] for gene in label_genes.get(label, ()) if gene in column]] = True
    return own


def _without_own(observed: np.ndarray, predicted: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return r of each row over the genes that are not perturbed, [C]."""
    return row_pearson(np.where(own, np.nan, predicted), observed)


def _mean(r: np.ndarray) -> float:
    return float(np.nanmean(r)) if np.isfinite(r).any() else math.nan
