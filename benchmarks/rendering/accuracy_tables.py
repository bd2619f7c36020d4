"""Tables of how well variants predict and find networks, beside baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.rendering.tables import table

Entry = Mapping[str, Any]
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
    """Return a table of predictions and one of networks for each set of cells, or None."""
    parts = []
    for cells, title in CELLS.items():
        some = [entry for entry in entries if entry["cells"] == cells]
        groups = {(e["data"], e["variant"]): [] for e in some}
        for entry in some:
            groups[entry["data"], entry["variant"]].append(entry)
        if groups:
            parts += [f"{title}: r / R2 of predicted effects", _predictions(groups)]
            with_truth = {key: of for key, of in groups.items() if of[0]["network"]}
            if with_truth:
                parts += [f"{title}: AUPRC against the true network", _networks(with_truth)]
    return "\n\n".join(parts) if parts else None


def _predictions(groups: Mapping[tuple[str, str], Sequence[Entry]]) -> str:
    head = ["data", "model", "seeds", *_PREDICTIONS.values(), "IWELBO", "training"]
    rows = []
    for (data, variant), of in groups.items():
        pairs = [
            f"{_mean(of, 'r', key)} / {_mean(of, 'r2', key)}"
            if key.endswith("_mean")
            else f"{_range(of, 'r', key)} / {_range(of, 'r2', key)}"
            for key in _PREDICTIONS
        ]
        bound = np.mean([entry["iwelbo"] for entry in of])
        seconds = np.median([entry["train_s"] for entry in of])
        rows.append([data, variant, str(len(of)), *pairs, f"{bound:.1f}", f"{seconds:.0f} s"])
    return table(head, rows)


def _networks(groups: Mapping[tuple[str, str], Sequence[Entry]]) -> str:
    head = ["data", "model", "seeds", *_RANKINGS.values(), "called", "precision", "recall",
            "called at FDR .1", "precision", "recall"]  # fmt: skip
    rows = []
    for (data, variant), of in groups.items():
        found = [entry["network"] for entry in of]
        scores = [
            _range(found, "auprc", key) if key in ("model", "probability")
            else _mean(found, "auprc", key)
            for key in _RANKINGS
        ]  # fmt: skip
        called = f"{np.mean([e['n_called'] for e in found]):.0f}"
        shares = [f"{np.mean([e[key] for e in found]):.2f}" for key in ("precision", "recall")]
        at_fdr = _at_fdr([entry["fdr"] for entry in found if "fdr" in entry])
        rows.append([data, variant, str(len(of)), *scores, called, *shares, *at_fdr])
    return table(head, rows)


def _at_fdr(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return number, precision and recall of the calls; empty where no run has them."""
    if not found:
        return ["", "", ""]
    called = f"{np.mean([entry['n_called'] for entry in found]):.0f}"
    return [called, *(f"{_known_mean(found, key):.2f}" for key in ("precision", "recall"))]


def _known_mean(found: Sequence[Mapping[str, Any]], key: str) -> float:
    known = [entry[key] for entry in found if entry[key] is not None and entry[key] == entry[key]]
    return float(np.mean(known)) if known else float("nan")


def _values(entries: Sequence[Entry], group: str, key: str) -> list[float]:
    return [entry[group][key] for entry in entries]


def _mean(entries: Sequence[Entry], group: str, key: str) -> str:
    return f"{np.mean(_values(entries, group, key)):.3f}"


def _range(entries: Sequence[Entry], group: str, key: str) -> str:
    """Return the mean over seeds, with the range of more than one."""
    values = _values(entries, group, key)
    if len(values) < 2:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
