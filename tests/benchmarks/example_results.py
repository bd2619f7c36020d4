"""Made-up results of every benchmark, as large as real ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmarks.inputs.shapes import SHAPES
from benchmarks.programs import floor
from benchmarks.sizes import POWERS
from tests.paths import ROOT

MACHINE = {
    "processor": "Example",
    "cores": 2,
    "memory_gib": 24,
    "python": "3.11.7",
    "commit": "abc1234",
    "versions": {"jax": "0.10.2", "torch": None},
}
EARLIER = ("prepare", "effects", "network_stats")


def write(folder: Path, *, gpu: bool = True, earlier: bool = True) -> None:
    """Write one file for each benchmark."""
    folder.mkdir(parents=True, exist_ok=True)
    on = [("cpu", "float32"), *([("cuda", "float32"), ("cuda", "tf32")] if gpu else [])]
    made = {
        "step": [step(n, *where) for where in on for n in ("adamson", "rpe1", "k562")],
        "sizes": [sizes()],
        "profile": [profile()],
        "epoch": [epoch()],
        "evaluate": [evaluate()],
        "seeds": [seeds()],
        "startup": [startup()],
        "precision": [precision("float32"), precision("bf16")],
        "accuracy": [
            accuracy("simulation 0", seed, cells, network=True)
            for seed in (0, 1)
            for cells in ("val", "test")
        ]
        + [accuracy("cycles", seed, "val", network=True, data_seed=seed) for seed in (0, 1, 2)]
        + [accuracy("cycles", 0, "val", network=True)]
        + [accuracy("screen", 0, "test", network=False)],
        "held_out": [held_out("genes", seed) for seed in (10, 11)],
        "batches": [batches("batch effects", seed) for seed in (10, 11)],
        "models": [models()],
        "streaming": [streaming()],
        "gpu_compile": [gpu_compile(card) for card in ("h100", "rtx4090")],
    }
    for name, entries in made.items():
        (folder / f"{name}.json").write_text(json.dumps(entries))
    for name in EARLIER if earlier else ():
        shutil.copy(ROOT / "benchmarks" / "results" / f"{name}.json", folder)


def accuracy(
    data: str, seed: int, cells: str, *, network: bool, data_seed: int | None = None
) -> dict:
    """Return the scores of one run; without a data seed they are as old as entries can be."""
    sources = ("network", "network_depth", "own_cells", "fixed_library", "train_mean",
               "shrunk_mean")  # fmt: skip
    rankings = ("model", "probability", "fold_change", "z", "ridge", "random")
    scores = {
        "auprc": {name: 0.9 - 0.1 * i for i, name in enumerate(rankings)},
        "n_called": 40,
        "precision": 0.5,
        "recall": 1.0,
        "f1": 0.67,
        "fdr": {"n_called": 33, "stated_precision": 0.9, "precision": 0.88, "recall": 0.95},
    }
    return {
        "data": data, "variant": "accurate", "seed": seed, "cells": cells, "train_s": 21.5,
        "r": {name: 0.9 + 0.01 * seed for name in sources},
        "r2": {name: 0.8 for name in sources},
        "iwelbo": -437.1,
        "network": scores if network else None,
        "machine": MACHINE,
        **({} if data_seed is None else {"data_seed": data_seed}),
    }  # fmt: skip


def held_out(data: str, seed: int) -> dict:
    """Return the scores of one run with held-out genes."""
    sources = ("model", "global_mean", "knockdown", "ceiling")
    scores = {"pearson": 0.7, "r2": 0.5, "pearson_others": 0.4, "rank": 0.1, "de_overlap": 0.6}
    others = {"model": [0.4, 0.41 + 0.01 * seed], "global_mean": [0.1, 0.12]}
    others |= {"additive": [None, None], "knockdown": [None, None]}
    kind = {"n": 2, "scores": dict.fromkeys(sources, scores), "others": others}
    entry = {"data": data, "rule": "by_perturbation", "seed": seed, "kinds": {"gene": kind}}
    return {**entry, "train_s": 40.0, "machine": MACHINE}


def batches(data: str, seed: int) -> dict:
    """Return the scores of one run with batches."""
    sources = ("model", "own_cells", "train_mean", "shrunk_mean")
    scores = {source: {"true": 0.9, "held_out": 0.8 + 0.001 * seed} for source in sources}
    return {"data": data, "seed": seed, "without": scores, "with": scores, "machine": MACHINE}


def models() -> dict:
    """Return a step of both models."""
    memory = {"temporary_gib": 0.25, "arguments_gib": 0.17}
    return {
        "shape": "rpe1", "batch_size": 512, "n_particles": 5, "network_samples": 2,
        "published": spread(0.7), "accurate": spread(0.68), "ratio": 0.97,
        "gflop": {"published": 62.5, "accurate": 51.0}, "peak_gib": 1.75,
        "temporary_gib": {"published": memory, "accurate": memory}, "machine": MACHINE,
    }  # fmt: skip


def spread(median: float) -> dict[str, float]:
    """Return a summary."""
    return {"median": median, "min": 0.96 * median, "max": 1.13 * median, "iqr": 0.05, "n": 5}


def where(shape: str = "rpe1", device: str = "cpu", precision: str = "float32") -> dict:
    """Return what every entry holds."""
    return {"shape": shape, "device": device, "precision": precision, "machine": MACHINE}


def step(name: str, device: str, precision: str) -> dict:
    """Return a step that takes twice its floor, PyTorch's forty times."""
    fast, shape = 200 if device == "cuda" else 1, SHAPES[name]
    least = floor.flop(shape) / 300e9 / fast
    peak = "device_peak_gib" if device == "cuda" else "peak_gib"
    return where(name, device, precision) | {
        "beside": "torch",
        "genes": shape.genes,
        "treatments": shape.treatments,
        "perturbed": shape.perturbed,
        "batch_size": 512,
        "particles": 5,
        "parameters": floor.n_parameters(shape),
        "rounds": 5,
        "jax": {
            "step_s": spread(2 * least),
            "compile_s": 9.1,
            "data_gib": 0.14,
            "state_gib": 0.1,
            "temporary_gib": 1.1,
            peak: 2.0,
        },
        "torch": {"step_s": spread(40 * least), peak: 4.3, "versions": {"torch": "2.13"}},
        "times_faster": 20.0,
        "memory_share": 0.465,
        "floor": {
            "gflop": round(floor.flop(shape) / 1e9, 1),
            "gflop_per_s": 300.0 * fast,
            "traffic_gb": 0.8,
            "gb_per_s": 20.0 * fast,
            "floor_s": least,
            "share_reached": 0.5,
        },
    }


def sizes() -> dict:
    """Return times that grow as the products do; treatments exceed their limit."""
    lines = {
        name: [
            {
                "factor": f,
                "value": round(value * f),
                "step_s": spread(0.1 + 0.7 * f),
                "gflop": 40 + 65 * f,
            }
            for f in (0.25, 0.5, 1)
        ]
        for name, value in zip(POWERS, (8749, 655, 4, 512), strict=True)
    }
    growth = {
        name: {"times": 2.6, "products": 1.9, "at_most": 4.0**power, "within": True}
        for name, power in POWERS.items()
    }
    growth["treatments"] |= {"times": 20.0, "within": False}
    return where() | {"particles": 4, "gflop_per_s": 300.0, "lines": lines, "growth": growth}


def profile() -> dict:
    """Return a few parts."""
    parts = [
        {
            "part": part,
            "calls": calls,
            "forward_s": spread(seconds / 3),
            "in_step_s": seconds,
            "gflop": 300 * least,
            "gb": 0.1,
            "floor_s": least,
            "bound_by": by,
            "share_of_floor": least / seconds,
        }
        for part, calls, seconds, least, by in (
            ("decoder head", 1, 0.4, 0.18, "products"),
            ("embedding encoder", 2, 0.16, 0.1, "products"),
            ("noise", 1, 0.05, 0.001, "memory"),
            ("network alignment", 1, 0.02, 0.016, "products"),
        )
    ]
    return where() | {
        "whole_s": spread(0.7),
        "sum_of_parts_s": 0.63,
        "sum_of_floors_s": 0.297,
        "parts": parts,
    }


def epoch() -> dict:
    """Return an epoch at RPE1's shape."""
    return where() | {
        "train_cells": 58_810,
        "validation_cells": 14_703,
        "steps": 115,
        "epoch_s": spread(92.0),
        "step_inside_s": 0.75,
        "validation_share": 0.06,
        "rest_share": 0.004,
        "compile_s": 14.0,
        "above_data_gib": 1.4,
        "torch_extrapolated": {"training_s": 1900.0, "times_faster": 22.0},
    }


def evaluate() -> dict:
    """Return a predictive bound."""
    return where() | {
        "particles": 100,
        "cells_per_s": spread(50.0),
        "test_cells": 18_378,
        "seconds_of_test_cells": 367.0,
        "compile_s": 4.0,
        "above_data_gib": 1.9,
    }


def gpu_compile(card: str) -> dict:
    """Return a step compiled for a card."""
    return {
        "card": card,
        "model": "published",
        "shape": "rpe1",
        "program": "step",
        "precision": "tf32",
        "kernels": 247,
        "product_kernels": 60,
        "short_kernels": 143,
        "megabytes": 2585.4,
        "gflop": 99.1,
        "passes": 7,
        "roofline_us": {"products": 310.0, "long": 390.0, "short": 71.5},
        "arguments_mib": 2080.1,
        "temporary_mib": 360.2,
        "output_mib": 100.5,
        "decided_on_the_way": ["conditional jit(run_steps)/cond"],
        "machine": MACHINE,
    }


def streaming() -> dict:
    """Return two sizes."""
    size = {"opening_s": 3.5, "opening_gib": 0.4, "opened_gib": 0.3, "anonymous_gib": 0.9,
            "steps": 4}  # fmt: skip
    disk = size | {"kept": "disk", "reading_an_epoch_s": 2.5, "peak_gib": 1.25}
    memory = size | {"kept": "memory", "reading_an_epoch_s": None, "peak_gib": 2.5}
    rate = {"median": 50_000.0, "min": 40_000.0, "max": 60_000.0, "iqr": 1000.0, "n": 3}
    loader = {"bytes_per_cell": 8769, "cells_per_s": dict.fromkeys(("executor", "memory"), rate)}
    return {
        "shape": "rpe1", "genes": 8749, "treatments": 655, "batch_size": 512,
        "rates_at_cells": 100_000, "machine": MACHINE,
        "sizes": [of | {"cells": n, "cells_gib": 0.3} for n in (20_000, 300_000)
                  for of in (disk, memory)],
        "loader": {"threads": 2, "published": loader, "accurate": loader},
        "step_cells_per_s": {"memory": rate, "disk": rate},
    }  # fmt: skip


def seeds() -> dict:
    """Return five seeds."""
    return where("small") | {
        "seeds": 5,
        "train_cells": 3840,
        "genes": 120,
        "treatments": 30,
        "at_once_s": spread(0.2),
        "one_by_one_s": spread(0.5),
        "times_faster": 2.5,
    }


def startup() -> dict:
    """Return starts of a run."""
    return {
        "preset": "demo",
        "device": "cpu",
        "machine": MACHINE,
        **{f"{name}_s": spread(s) for name, s in (("off", 14), ("cold", 15), ("warm", 4))},
        "epoch_s": {"off": 9.0, "cold": 9.5, "warm": 0.5},
        "times_faster": 3.75,
    }


def precision(name: str) -> dict:
    """Return two seeds' training; rounding changes every number by one part in a thousand."""
    apart = 0.0 if name == "float32" else 1e-3
    numbers = ("first_loss", "first_gradient_norm", "best_validation_loss", "iwelbo")
    return where("", precision=name) | {
        "data": "demo",
        "seeds": 2,
        "epochs": 100,
        **{key: [150 * (1 + apart), 151 * (1 + apart)] for key in numbers},
        **{f"{key}_apart": apart for key in numbers},
        "auprc": [0.44, 0.45],
        "probabilities_correlate": 1 - apart,
        "edges_that_differ": round(2000 * apart),
    }
