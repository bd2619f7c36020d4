r"""Measure a training step of the plain PyTorch baseline, or of a user's clone of the original.

    python benchmarks/torch_baseline.py --shape rpe1 --steps 3     (two minutes, 3 GB)
    python benchmarks/torch_baseline.py --quick     (seconds, a tiny shape)
    python benchmarks/torch_baseline.py --goldens     (agreement with the recorded runs)
    python benchmarks/torch_baseline.py --upstream PATH --upstream-entry FILE:FUNCTION
    python benchmarks/torch_baseline.py --worker --shape rpe1     (told by another process)

The result is printed and, but for --quick, goes into benchmarks/results/torch_baseline.json, one
entry per shape. The baseline's loader is timed apart from its steps. benchmarks/upstream.py says
what a file for --upstream-entry holds. Needs torch: pip install '.[benchmark]'.

A worker prints one line of JSON when it is ready, then answers {"steps": k} with the seconds of
each of k steps and the last loss, and {"stop": true} or the end of its input with its peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import cells, machine, shapes, upstream  # noqa: E402

BATCHES = 4  # different ones before they are drawn again
UPSTREAM = {  # the original alone on two cores, PyTorch 2.13
    "rpe1": {"seconds_per_step": [16, 17], "peak_gb": 4.3, "loader_s_per_batch": 0.09},
    "k562": {"seconds_per_step": [24, 27], "peak_gb": 6.0, "loader_s_per_batch": 0.09},
}


class Job(NamedTuple):
    """Hold what is stepped: `update` takes what `batches` gives and returns the loss."""

    update: Callable[[Any], Any]
    batches: Iterator[Any] | None  # None: update() takes its batches itself
    facts: dict[str, Any]


class Taken(NamedTuple):
    """Hold what some steps took."""

    seconds: list[float]
    loader: list[float]
    loss: float | None


def main() -> None:
    """Measure, obey or compare."""
    asked = arguments()
    if asked.goldens:
        from benchmarks.torch_gpo_vae import goldens

        text, agree = goldens.table(ROOT / "tests" / "golden")
        print(text)
        sys.exit(not agree)
    if asked.worker:
        obey(asked)
    else:
        measure(asked)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=shapes.SHAPES, default="rpe1")
    for name in ("genes", "treatments", "perturbed", "batch-size", "particles"):
        parser.add_argument(f"--{name}", type=int, help="instead of the shape's")
    parser.add_argument("--steps", type=int, default=3, help="that are timed, after one to warm up")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "tf32", "bf16"), default="float32")
    parser.add_argument("--quick", action="store_true", help="the tiny shape, two steps")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--worker", action="store_true", help="be told by another process")
    parser.add_argument("--goldens", action="store_true", help="compare with the recorded runs")
    parser.add_argument("--upstream", type=Path, help="the root of a clone of the original")
    parser.add_argument("--upstream-entry", help="FILE:FUNCTION that steps it")
    asked = parser.parse_args()
    if (asked.upstream is None) != (asked.upstream_entry is None):
        parser.error("--upstream and --upstream-entry go together")
    if asked.steps < 1:
        parser.error("--steps must be at least 1")
    if asked.quick:
        asked.shape, asked.steps = "tiny", 2
    return asked


def measure(asked: argparse.Namespace) -> None:
    """Time the steps, print the result and keep it."""
    start = time.perf_counter()
    job = prepare(asked)
    first = run(job, 1, asked.device)
    setup = time.perf_counter() - start
    taken = run(job, asked.steps, asked.device)
    result = {
        "machine": machine.describe(),
        **job.facts,
        "setup_s": round(setup, 2),
        "first_step_s": round(first.seconds[0], 3),
        "seconds_per_step": round(statistics.median(taken.seconds), 3),
        "seconds": [round(seconds, 3) for seconds in taken.seconds],
        "loader_s_per_batch": round(statistics.median(taken.loader), 3) if taken.loader else None,
        **peak(asked.device),
        "loss": taken.loss,
        "original_as_measured_before": UPSTREAM.get(asked.shape),
    }
    print(json.dumps(result, indent=2))
    if not asked.quick:
        target = asked.results / "torch_baseline.json"
        kept = json.loads(target.read_text()) if target.exists() else {}
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps({**kept, entry_name(asked): result}, indent=2) + "\n")


def obey(asked: argparse.Namespace) -> None:
    """Do what comes in on stdin; stdout carries the answers and nothing else."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anything else prints goes to stderr

    def answer(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    start = time.perf_counter()
    job = prepare(asked)
    first = run(job, 1, asked.device)
    setup = time.perf_counter() - start
    loader = round(first.loader[0], 4) if first.loader else None
    timing = {"compile_s": None, "setup_s": round(setup, 3), "loader_s": loader}
    answer({"ready": True, **timing, **job.facts})
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("stop"):
            break
        taken = run(job, int(message["steps"]), asked.device)
        answer({"seconds": taken.seconds, "loss": taken.loss})
    answer(peak(asked.device))


def prepare(asked: argparse.Namespace) -> Job:
    """Make cells and a model that can be stepped."""
    shape = shapes.scaled(
        shapes.SHAPES[asked.shape],
        genes=asked.genes,
        treatments=asked.treatments,
        perturbed=asked.perturbed,
    )
    batch_size = asked.batch_size or (shapes.TINY_BATCH if shape.name == "tiny" else 512)
    n_particles = asked.particles or 5
    made = cells.cells(shape, BATCHES * batch_size)
    facts = {
        "of": "upstream" if asked.upstream else "torch_baseline",
        "shape": shape._asdict(),
        "batch_size": batch_size,
        "particles": n_particles,
        "device": asked.device,
        "precision": asked.precision,
        "data_gib": round(sum(array.nbytes for array in made.values()) / 2**30, 3),
    }
    if asked.upstream:
        build = upstream.load(asked.upstream, asked.upstream_entry)
        step = build(
            shape=shape._asdict(),
            cells=made,
            batch_size=batch_size,
            n_particles=n_particles,
            device=asked.device,
        )
        job = Job(lambda _: step(), None, facts)
    else:
        job = baseline(shape, made, facts)
    return job._replace(facts={**job.facts, **environment()})


def baseline(shape: shapes.Shape, made: dict, facts: dict[str, Any]) -> Job:
    """Build the baseline's model, optimiser and loader."""
    import torch

    from benchmarks.torch_gpo_vae import loader, objective, settings, training

    device = facts["device"]
    config = shapes.published(shape, facts["batch_size"], facts["particles"])
    torch.manual_seed(0)
    model = objective.GPOVAE(settings.from_config(config, shape.genes, shape.treatments))
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


def run(job: Job, n_steps: int, device: str) -> Taken:
    """Take steps on consecutive batches, loading and updating timed apart."""
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
    """Wait for the device."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def environment() -> dict[str, Any]:
    """Return versions and threads."""
    torch = sys.modules.get("torch")
    versions = {}
    for name in ("numpy", "torch"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {"versions": versions, "threads": torch.get_num_threads() if torch else None}


def peak(device: str) -> dict[str, float]:
    """Return the most memory that the process has held, and on a GPU its tensors."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike getrusage, it leaves out the process that started this one
        lines = status.read_text().splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    else:
        import resource

        kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            1024 if sys.platform == "darwin" else 1
        )
    result = {"peak_gib": round(kib / 2**20, 3)}
    if device == "cuda":
        import torch

        result["device_peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 3)
    return result


def entry_name(asked: argparse.Namespace) -> str:
    """Name the result: the shape and whatever differs from its defaults."""
    changed = ("genes", "treatments", "perturbed", "batch_size", "particles")
    words = [f"{name}={getattr(asked, name)}" for name in changed if getattr(asked, name)]
    words += [w for w in (asked.device, asked.precision) if w not in ("cpu", "float32")]
    return " ".join([asked.shape, *(["upstream"] if asked.upstream else []), *words])


if __name__ == "__main__":
    main()
