"""What is said of perturbations that no training cell carries: skill, or its absence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gpo_vae_jax.evaluate.effect_sources import UNSEEN

VERDICTS = {
    "skill": "skill beyond every baseline",
    "unclear": "ahead of the baselines, but within the noise: no evidence of skill",
    "none": "no skill",
}
_BASELINES = {
    "global_mean": "the global mean",
    "additive": "the sum of single effects",
    "knockdown": "predicting that no other gene changes",
}


def skill_in_words(summary: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each kind of unseen perturbation; none where all were trained on."""
    found = summary.get("unseen") or {}
    return [_sentence(kind, found[kind]) for kind in UNSEEN if kind in found and kind != "all"]


def _sentence(kind: str, scores: Mapping[str, Any]) -> str:
    n, skill = int(scores["n_perturbations"]), scores["skill"]
    model = _number((scores.get("model") or {}).get("pearson_others"))
    best = _number((scores.get(skill["baseline"]) or {}).get("pearson_others"))
    one, many = UNSEEN[kind]
    who = _BASELINES["knockdown" if best is None else skill["baseline"]]
    said = "no correlation" if model is None else f"r {model:.3f}"
    against = "" if best is None else f" at r {best:.3f}"
    return (
        f"{n} {one if n == 1 else many}: {VERDICTS[skill['verdict']]}. On the genes that are not "
        f"perturbed themselves the model reaches {said}; the best baseline is {who}{against}."
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
