"""Tables of how well variants predict and find networks, beside baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.rendering.tables import table

Entry = Mapping[str, Any]
FRESH = ", new for each seed"  # after the name of the data
CELLS = {"test": "Test cells", "val": "Validation cells"}
_PREDICTIONS = {  # of the model, then the baselines
    "network": "network",
    "network_depth": "network, own depth",
    "own_cells": "own cells",
    "train_mean": "training mean",
    "shrunk_mean": "shrunk mean",
}
_RANKINGS = {
    "model": "strength",
    "probability": "probability",
    "fold_change": "log fold change",
    "z": "z",
    "ridge": "ridge",
}


def tables(entries: Sequence[Entry]) -> str | None:
    """Return a table of predictions and one of networks for each set of cells, or None.

    Every number but the training time is the mean over seeds, with the range of those that differ.
    """
    parts = []
    for cells, title in CELLS.items():
        groups: dict[tuple[str, str], list[Entry]] = {}
        for entry in entries:
            if entry["cells"] == cells:
                groups.setdefault((_data_of(entry), entry["variant"]), []).append(entry)
        if groups:
            parts += [f"{title}: r / R2 of predicted effects", _predictions(groups)]
            with_truth = {key: of for key, of in groups.items() if of[0]["network"]}
            if with_truth:
                parts += [f"{title}: AUPRC against the true network", _networks(with_truth)]
    return "\n\n".join(parts) if parts else None


def _data_of(entry: Entry) -> str:
    """Return the name of the data, which says whether each seed has data of its own."""
    return entry["data"] + FRESH * (entry.get("data_seed") is not None)


def _predictions(groups: Mapping[tuple[str, str], Sequence[Entry]]) -> str:
    head = ["data", "model", "seeds", *_PREDICTIONS.values(), "IWELBO", "training"]
    rows = []
    for (data, variant), of in groups.items():
        pairs = [
            " / ".join(_mean_and_range([e[score][key] for e in of]) for score in ("r", "r2"))
            for key in _PREDICTIONS
        ]
        bound = _mean_and_range([entry["iwelbo"] for entry in of], 1)
        seconds = np.median([entry["train_s"] for entry in of])
        rows.append([data, variant, str(len(of)), *pairs, bound, f"{seconds:.0f} s"])
    return table(head, rows)


def _networks(groups: Mapping[tuple[str, str], Sequence[Entry]]) -> str:
    head = ["data", "model", "seeds", *_RANKINGS.values(), "called", "precision", "recall",
            "called at FDR .1", "precision", "recall"]  # fmt: skip
    rows = []
    for (data, variant), of in groups.items():
        found = [entry["network"] for entry in of]
        scores = [_mean_and_range([e["auprc"][key] for e in found]) for key in _RANKINGS]
        called = [
            _mean_and_range([e[key] for e in found], digits)
            for key, digits in (("n_called", 0), ("precision", 2), ("recall", 2))
        ]
        at_fdr = _at_fdr([entry["fdr"] for entry in found if "fdr" in entry])
        rows.append([data, variant, str(len(of)), *scores, *called, *at_fdr])
    return table(head, rows)


def _at_fdr(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return number, precision and recall of the calls; empty where no run has them."""
    cells = []
    for key, digits in (("n_called", 0), ("precision", 2), ("recall", 2)):
        known = [of[key] for of in found if of[key] is not None and of[key] == of[key]]
        cells.append(_mean_and_range(known, digits) if known else "")
    return cells


def _mean_and_range(values: Sequence[float], digits: int = 3) -> str:
    """Return "mean (minimum to maximum)" over seeds; the mean alone where no digit differs."""
    mean, low, high = (f"{of(values):.{digits}f}" for of in (np.mean, np.min, np.max))
    return mean if low == high else f"{mean} ({low} to {high})"
