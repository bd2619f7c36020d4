"""Take optimiser steps in PyTorch: of the plain baseline, or of a user's clone of the original.

Needs NumPy and torch alone, so that another interpreter than the package's can run it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.inputs import cells
from benchmarks.inputs.shapes import Shape
from benchmarks.measuring import memory
from benchmarks.programs import upstream

BATCHES = 4  # different ones before they repeat


class Job(NamedTuple):
    """What is stepped: `update` takes a batch and returns the loss."""

    update: Callable[[Any], Any]
    batches: Iterator[Any] | None  # None: `update` takes its batches itself
    facts: dict[str, Any]


class Taken(NamedTuple):
    """The seconds of some steps and of loading their batches, and the last loss."""

    seconds: list[float]
    loader: list[float]
    loss: float | None


def baseline(
    settings: dict[str, Any], shape: Shape, made: dict[str, Any], facts: dict[str, Any]
) -> Job:
    """Build the model, optimiser and loader of the plain baseline.

    Args:
      settings: the fields of torch_gpo_vae.settings.Settings.
      made: cells, from `cells.cells`.
      facts: "device", "precision" and "batch_size", and whatever else the result is to hold.
    """
    import torch

    from benchmarks.programs.torch_gpo_vae import loader, objective, training
    from benchmarks.programs.torch_gpo_vae.settings import Settings

    device = facts["device"]
    torch.manual_seed(0)
    model = objective.GPOVAE(Settings(**settings))
    if model.settings.normalization:
        model.guide.normalization_module.load_statistics(cells.statistics(made["counts"]))
    model.to(device)
    dataset = loader.CellDataset(made, shape.treatments)
    counts = objective.Counts(*(values.to(device) for values in dataset.counts()))
    step = training.make_step(model, training.adam(model), precision=facts["precision"])
    return Job(
        update=lambda batch: step(batch, counts)[0],
        batches=loader.batches(dataset, facts["batch_size"], device),
        facts={**facts, "parameters": sum(p.numel() for p in model.parameters())},
    )


def of_clone(
    path: Path, entry: str, shape: Shape, made: dict[str, Any], facts: dict[str, Any]
) -> Job:
    """Build a user's clone of the original by the entry that programs/upstream.py describes."""
    build = upstream.load(path, entry)
    step = build(
        shape=shape._asdict(),
        cells=made,
        batch_size=facts["batch_size"],
        n_particles=facts["particles"],
        device=facts["device"],
    )
    return Job(lambda _: step(), None, facts)


def run(job: Job, n_steps: int, device: str) -> Taken:
    """Take steps on consecutive batches; loading and updating are timed separately."""
    seconds, loader, loss = [], [], None
    for _ in range(n_steps):
        start = time.perf_counter()
        batch = next(job.batches) if job.batches else None
        synchronise(device)
        ready = time.perf_counter()
        loss = job.update(batch)
        synchronise(device)
        seconds.append(time.perf_counter() - ready)
        if job.batches:
            loader.append(ready - start)
    return Taken(seconds, loader, None if loss is None else float(loss))


def synchronise(device: str) -> None:
    """Wait until the device is idle."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def versions_and_threads() -> dict[str, Any]:
    """Return the versions of NumPy and torch, and torch's number of threads."""
    torch = sys.modules.get("torch")
    versions = {}
    for name in ("numpy", "torch"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {"versions": versions, "threads": torch.get_num_threads() if torch else None}


def peak(device: str) -> dict[str, float]:
    """Return the peak memory of the process and, on a GPU, of its tensors."""
    result = {"peak_gib": round(memory.peak_gib(), 3)}
    if device == "cuda":
        import torch

        result["device_peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 3)
    return result
