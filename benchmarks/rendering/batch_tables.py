"""The table of effects predicted with and without the batch of each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.rendering.tables import table
from gpo_vae_jax.evaluate.effect_sources import SOURCES

Entry = Mapping[str, Any]
_SOURCES = ("model", "own_cells", "train_mean", "shrunk_mean")


def batches(entries: Sequence[Entry]) -> str | None:
    """Return r with the true effects and with those of test cells, means over seeds."""
    rows = []
    for name in dict.fromkeys(entry["data"] for entry in entries):
        of = [entry for entry in entries if entry["data"] == name]
        for key in ("without", "with"):
            scores = [
                " / ".join(
                    f"{np.mean([e[key][source][judge] for e in of]):.3f}"
                    for judge in ("true", "held_out")
                )
                for source in _SOURCES
            ]
            rows.append([name, key, str(len(of)), *scores])
    head = ["data", "`batch_key`", "seeds", *(SOURCES[source] for source in _SOURCES)]
    return table(head, rows) if rows else None
