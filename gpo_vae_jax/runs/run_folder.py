"""The run folder: what is written beside the checkpoints, and whether a run may use the folder."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import importlib.metadata
import io
import json
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gpo_vae_jax import __version__, config_io
from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import TrainingError
from gpo_vae_jax.files import write_text
from gpo_vae_jax.types import Dataset

# Settings that may change between the parts of a resumed run.
_FREE = {("train", "max_epochs"), ("train", "patience"), ("train", "save_every_seconds")}
_FREE |= {("train", "checkpoint_every_steps"), ("data", "path"), ("name",)}


class RunFolder:
    """Name the files of a run and write them beside their place, then rename."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.run = self.path / "run.json"
        self.metrics = self.path / "metrics.csv"
        self.result = self.path / "result.json"
        self.checkpoints = self.path / "checkpoints"

    @property
    def exports(self) -> list[Path]:
        """Return the files that were made of the run when it had ended, as far as they can be there.

        They are made by gpo_vae_jax.evaluate (docs/evaluation.md).
        """
        network = ("grn.csv", "edges.csv", "edges.graphml", "regulators.csv", "known_networks.csv")
        results = ("evaluation.json", "evaluation.csv", "curve.csv", "effects.h5ad", "report.html")
        files = [self.path / name for name in (*network, *results, "enrichment.csv")]
        found = (self.path.glob(f) for f in ("neighbourhood_*.csv", "plots/*.png"))
        return [*files, *(path for some in found for path in some)]

    def start(self, config: Config, dataset: Dataset, overwrite: bool) -> None:
        """Claim the folder for a new run and describe the run in it.

        Raises:
          TrainingError: there is a run in it already and `overwrite` is not set, or it holds
            files that no run wrote.
        """
        if self.config.exists() or self.run.exists():
            if not overwrite:
                raise TrainingError(
                    f"{self.path} holds a run already; continue it with --resume, replace it with "
                    "--overwrite, or name another --workdir"
                )
            if self.checkpoints.exists():
                shutil.rmtree(self.checkpoints)
            for file in (*self.exports, self.metrics, self.result, self.run, self.config):
                file.unlink(missing_ok=True)
        elif self.path.exists() and any(self.path.iterdir()):
            raise TrainingError(
                f"{self.path} is not empty and holds no run; name another --workdir"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.run, json.dumps(_describe(config, dataset), indent=1) + "\n")
        write_text(self.config, config_io.to_json(config))

    def go_on(self, config: Config, dataset: Dataset) -> None:
        """Claim the folder for the run in it, which may be told to train longer.

        Raises:
          TrainingError: the run was started with other settings or on other data.
        """
        before = self.read_config()
        changed = [
            f"{'.'.join(path)} was {old!r}, is {new!r}"
            for path, old, new in _differences(before, config)
            if path not in _FREE
        ]
        if changed:
            raise TrainingError(
                f"{self.path} was started with other settings: {'; '.join(changed)}. Resume with "
                "the same settings or start anew in another --workdir"
            )
        if self.read_run()["data"]["fingerprint"] != fingerprint(dataset):
            raise TrainingError(
                f"{self.path} was started on other data than this; resume on the same prepared file"
            )
        for file in (*self.exports, self.result):  # of the shorter run
            file.unlink(missing_ok=True)
        write_text(self.config, config_io.to_json(config))

    def read_config(self) -> Config:
        """Read the settings of the run (raises TrainingError, ConfigError)."""
        return config_io.from_json(self._read(self.config))

    def read_run(self) -> dict[str, Any]:
        """Read the description of the run (raises TrainingError)."""
        return json.loads(self._read(self.run))

    def _read(self, file: Path) -> str:
        if not file.exists():
            raise TrainingError(f"{self.path} holds no run: {file.name} is missing")
        return file.read_text()


class MetricsFile:
    """Append one row an epoch to a CSV file; rows of epochs to be repeated are dropped first."""

    def __init__(self, path: Path, first_epoch: int):
        rows = []
        if path.exists():
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    whole = None not in row.values() and None not in row
                    if whole and row["epoch"].isdigit() and int(row["epoch"]) < first_epoch:
                        rows.append(row)
        self._path, self._columns = path, list(rows[0]) if rows else None
        if path.exists():
            lines = _csv_lines([self._columns, *(list(r.values()) for r in rows)]) if rows else ""
            write_text(path, lines)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row; the first one decides the columns."""
        lines = []
        if self._columns is None:
            self._columns = list(row)
            lines.append(self._columns)
        lines.append([row[column] for column in self._columns])
        with self._path.open("a", newline="") as file:
            file.write(_csv_lines(lines))


def fingerprint(dataset: Dataset) -> str:
    """Return a short hash of everything that is trained on: names and the arrays of all splits."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([dataset.treatments, dataset.n_perturbed, dataset.genes]).encode())
    for name in sorted(dataset.splits):
        digest.update(json.dumps([name, list(map(str, dataset.cells[name]))]).encode())
        for array in jax.tree.leaves(dataset.splits[name]):
            digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _csv_lines(rows: list) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _describe(config: Config, dataset: Dataset) -> dict[str, Any]:
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "anndata")
    return {
        "seed": config.train.seed,
        "versions": {
            "gpo_vae_jax": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
        },
        "device": f"{jax.default_backend()}: {jax.devices()[0].device_kind}",
        "data": {
            "fingerprint": fingerprint(dataset),
            "path": config.data.path,
            "cells": {name: len(split.cells.weight) for name, split in dataset.splits.items()},
            "n_genes": len(dataset.genes),
        },
        "sizes": dataclasses.asdict(dataset.sizes),
        "treatments": list(dataset.treatments),
        "n_perturbed": dataset.n_perturbed,
        "true_edges": _true_edges(dataset),
    }


def _true_edges(dataset: Dataset) -> list[tuple[str, str, float]] | None:
    """List the edges of the true network by name, where the data knows it."""
    if dataset.true_network is None:
        return None
    names = dataset.treatments
    rows, columns = np.nonzero(dataset.true_network)
    weights = dataset.true_network[rows, columns]
    return [(names[i], names[j], float(w)) for i, j, w in zip(rows, columns, weights, strict=True)]


def _differences(old: Any, new: Any, at: tuple[str, ...] = ()):
    for field in dataclasses.fields(old):
        a, b = getattr(old, field.name), getattr(new, field.name)
        if dataclasses.is_dataclass(a):
            yield from _differences(a, b, (*at, field.name))
        elif a != b:
            yield (*at, field.name), a, b
