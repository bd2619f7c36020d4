"""The table of perturbations that no training cell carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.rendering.tables import table
from gpo_vae_jax.evaluate.effect_sources import UNSEEN, UNSEEN_BASELINES, UNSEEN_SOURCES
from gpo_vae_jax.evaluate.effects.unseen import skill

Entry = Mapping[str, Any]
_SOURCES = {key: name for key, name in UNSEEN_SOURCES.items() if key != "fixed_library"}


def held_out(entries: Sequence[Entry]) -> str | None:
    """Return how well perturbations without training cells are predicted, beside baselines."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        for kind, found in entry["kinds"].items():
            groups.setdefault((entry["data"], kind), []).append(found)
    rows = [
        [
            name,
            UNSEEN[kind][1],
            f"{sum(of['n'] for of in found)} ({len(found)})",
            *(
                " / ".join(
                    _mean_of([of["scores"].get(source, {}).get(score) for of in found])
                    for score in ("pearson_others", "pearson", "rank")
                )
                for source in _SOURCES
            ),
            _pooled_skill(found),
        ]
        for (name, kind), found in groups.items()
    ]
    head = ["data", "held out", "perturbations (seeds)", *_SOURCES.values(), "skill"]
    return table(head, rows) if rows else None


def _pooled_skill(found: Sequence[Entry]) -> str:
    """Return the verdict over the perturbations of all seeds, and the lead with its error."""
    pooled = {
        source: np.array([np.nan if r is None else r for of in found for r in of["others"][source]])
        for source in ("model", *UNSEEN_BASELINES)
    }
    judged = skill(pooled)
    error = judged["standard_error"]
    return f"{judged['verdict']}: {judged['difference']:+.3f} ± {error:.3f}"


def _mean_of(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.3f}" if known else "-"
