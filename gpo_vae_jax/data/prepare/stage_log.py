"""The log of a preparation: stored in uns['gpo_vae'], and printed as a table."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import anndata
import numpy as np

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data.prepared.preparation_record import FORMAT_VERSION, RECORD

_COLUMNS = ("stage", "cells", "perturbations")  # of the table; the rest becomes one text
_PACKAGES = ("anndata", "numpy", "scanpy", "scipy")


class Log:
    """What each stage did, and the notes; `progress` is called with both as they come."""

    def __init__(self, progress: Callable[[str], None]):
        """Start an empty log."""
        self.stages: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self._progress = progress
        self.stage = ""  # the current one

    def start(self, name: str) -> None:
        """Begin a stage."""
        self.stage = name
        self._progress(name)

    def done(self, **did: Any) -> None:
        """Record what the stage did; `cells` and `perturbations` are pairs (before, after)."""
        self.stages.append({"stage": self.stage, **did})

    def dropped(self, keep: np.ndarray, why: str) -> None:
        """Note how many of some cells are left out, and why; nothing if all are kept, [N] bool."""
        gone, n = int((~keep).sum()), len(keep)
        if gone:
            self.note(f"{gone:,} of {n:,} cells ({_percent(gone / n)}) are left out: {why}")

    def note(self, sentence: str) -> None:
        """Record a sentence and report it as "note: ..."; nothing if it is empty."""
        if sentence:
            self.notes.append(sentence)
            self._progress(f"note: {sentence}")


def make_record(
    config: PrepareConfig,
    log: Log,
    counts: Mapping[str, int],
    thresholds: Mapping[str, Mapping[str, float]],
    *,
    treatments: Sequence[str],
    n_perturbed: int,
    separator: str,
    unmeasured: Sequence[str],
    control: str,
    labels: Mapping[str, str],
    covariates: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the entry of uns (docs/data.md), without times, so that files can be compared."""
    return {
        "format_version": FORMAT_VERSION,
        "dosage_names": np.array(treatments, dtype=object),
        "n_perturbed": n_perturbed,
        "control": control,
        "separator": separator,
        "unmeasured": json.dumps(list(unmeasured)),
        "settings": json.dumps(dataclasses.asdict(config)),
        "labels": json.dumps(labels),
        **({"covariates": json.dumps(list(covariates))} if covariates else {}),
        "thresholds": json.dumps(thresholds),
        "stages": json.dumps(log.stages),
        "notes": json.dumps(log.notes),
        "counts": json.dumps(counts),
        "versions": json.dumps({name: metadata.version(name) for name in _PACKAGES}),
    }


def summary(prepared: anndata.AnnData) -> list[tuple[str, str]]:
    """Return the numbers of a prepared AnnData as rows (what, number)."""
    record = prepared.uns[RECORD]
    rows = [
        (name.replace("_", " "), f"{value:,}")
        for name, value in json.loads(record["counts"]).items()
    ]
    settings = json.loads(record["settings"])
    threshold = f"{settings['qc_threshold']:g}"
    limits = json.loads(record["thresholds"])[threshold]
    rows += [(f"{name} at {threshold} MADs", f"{value:.6g}") for name, value in limits.items()]
    return rows


def table(prepared: anndata.AnnData, seconds: Mapping[str, float] | None = None) -> str:
    """Return a table of the stages as text; `seconds` by stage, if they were timed."""
    seconds = seconds or {}
    rows = [("stage", "cells", "perturbations", "seconds", "")]
    for done in json.loads(prepared.uns[RECORD]["stages"]):
        time = seconds.get(done["stage"])
        rows.append((
            done["stage"],
            _change(done.get("cells")),
            _change(done.get("perturbations")),
            "" if time is None else f"{time:.1f}",
            ", ".join(f"{k} {_short(v)}" for k, v in done.items() if k not in _COLUMNS),
        ))  # fmt: skip
    width = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        f"  {row[0]:{width[0]}}  {row[1]:>{width[1]}}  {row[2]:>{width[2]}}  {row[3]:>{width[3]}}"
        f"  {row[4]}".rstrip()
        for row in rows
    )


def notes(prepared: anndata.AnnData) -> list[str]:
    """Return the notes of a preparation."""
    return list(json.loads(prepared.uns[RECORD]["notes"]))


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def _change(pair: Sequence[int] | None) -> str:
    if pair is None:
        return ""
    before, after = pair
    return f"{after:,}" if before == after else f"{before:,} -> {after:,}"


def _short(value: Any) -> str:
    """Return a value as text; a list as its length."""
    return str(len(value)) if isinstance(value, list) else str(value)
