r"""Measure an optimiser step beside PyTorch and beside the floor, alternating in one run.

    python benchmarks/step.py --quick     (tiny, a minute)
    python benchmarks/step.py --shape rpe1 k562 adamson     (half an hour on two cores)
    python benchmarks/step.py --device cuda --precision tf32     (on a GPU, minutes)

Three processes are asked in turn: this package (k steps in one scan, as training runs them), plain
PyTorch (benchmarks/torch_baseline.py) and a matrix product that shows how fast the machine is at
that moment (benchmarks/floor.py). The result is printed and, but for --quick, goes into
benchmarks/results/step.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import alternating, floor, results_file, shapes  # noqa: E402
from benchmarks.shapes import Shape  # noqa: E402

STEPS = {  # of one request, by device: so many of ours that a call's set-up weighs little
    "cpu": {"jax": 16, "torch": 1, "product": 10},
    "cuda": {"jax": 40, "torch": 10, "product": 200},
}
PUBLISHED_SHAPES = ("rpe1", "k562", "adamson")
KEY = ("shape", "device", "precision", "beside")


def main() -> None:
    """Measure every shape asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    results_file.add_options(parser)
    parser.add_argument("--shape", nargs="+", choices=shapes.SHAPES, default=PUBLISHED_SHAPES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=STEPS, default="cpu")
    parser.add_argument("--precision", choices=("float32", "tf32", "bf16"), default="float32")
    parser.add_argument(
        "--torch",
        action=argparse.BooleanOptionalAction,
        help="measure PyTorch beside it (default: if it is installed)",
    )
    parser.add_argument("--torch-python", default=sys.executable, help="a Python with PyTorch")
    parser.add_argument("--torch-worker", help="another program instead of torch_baseline.py")
    parser.add_argument("--upstream", help="a clone of the original, instead of plain PyTorch")
    parser.add_argument("--upstream-entry", help="FILE:FUNCTION that steps the clone")
    parser.add_argument("--steps", type=int, help="steps of a request of this package")
    parser.add_argument("--torch-steps", type=int, help="steps of a request of PyTorch")
    asked = parser.parse_args()
    if asked.quick:
        asked.shape, asked.rounds = ("tiny",), min(asked.rounds, 2)
    if asked.torch is None:
        asked.torch = asked.torch_worker is not None or has_torch(asked.torch_python)
    for name in asked.shape:
        measured = measure(shapes.SHAPES[name], asked)
        results_file.add(results_file.folder_of(asked), "step", measured, KEY)


def has_torch(python: str) -> bool:
    """Return whether an interpreter can import PyTorch."""
    if python == sys.executable:
        return importlib.util.find_spec("torch") is not None
    done = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    return done.returncode == 0


def measure(shape: Shape, asked: argparse.Namespace) -> dict[str, Any]:
    """Let the workers alternate, and put together what they say."""
    steps = dict(STEPS[asked.device])
    steps |= {"jax": asked.steps or steps["jax"], "torch": asked.torch_steps or steps["torch"]}
    commands = commands_of(shape, asked, steps["jax"])
    found = alternating.measure(commands, steps, asked.rounds, alternating.to_stderr)
    config = shapes.published(shape)
    entry = {
        "shape": shape.name,
        "device": asked.device,
        "precision": asked.precision,
        "beside": ("upstream" if asked.upstream else "torch") if asked.torch else "nothing",
        **{k: v for k, v in shape._asdict().items() if k in ("genes", "treatments", "perturbed")},
        "batch_size": config.train.batch_size,
        "particles": config.train.n_particles,
        "parameters": floor.n_parameters(shape),
        "rounds": asked.rounds,
        **{name: of_worker(found[name]) for name in ("jax", "torch") if name in found},
        "floor": against_floor(shape, asked.device, found),
    }
    return entry | (against_torch(entry) if asked.torch else {})


def commands_of(shape: Shape, asked: argparse.Namespace, k: int) -> dict[str, list[str]]:
    """Return the command line of each worker."""
    here = ROOT / "benchmarks"
    same = ["--worker", "--device", asked.device, "--precision", asked.precision]
    of_shape = ["--shape", shape.name]
    torch_file = asked.torch_worker or str(here / "torch_baseline.py")
    commands = {
        "jax": [sys.executable, str(here / "jax_step.py"), *same, *of_shape, "--ks", str(k)],
        "torch": [asked.torch_python, torch_file, *same, *of_shape],
        "product": [sys.executable, str(here / "floor.py"), *same, *["--small"] * asked.quick],
    }
    if asked.upstream:
        of_clone = ["--upstream", asked.upstream, "--upstream-entry", asked.upstream_entry]
        commands["torch"] += of_clone
    if not asked.torch:
        del commands["torch"]
    return commands


def of_worker(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a worker's answers."""
    ready = {k: v for k, v in found["ready"].items() if k not in ("ready", "setup_s")}
    return {"step_s": found["per_step"], "loss": found["loss"], **ready, **found["last"]}


def against_floor(shape: Shape, device: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Say how low the floor lies and what share of it this package reaches.

    On a processor the floor counts products alone; on a GPU also the memory's traffic.
    """
    product = found["product"]
    rate = product["ready"]["gflop"] * 1e9 / product["per_step"]["median"]
    memory = product["ready"]["gb_per_s"] * 1e9
    least = floor.floor_s(shape, rate, memory if device == "cuda" else None)
    return {
        "gflop": alternating.significant(floor.flop(shape) / 1e9),
        "gflop_per_s": alternating.significant(rate / 1e9),
        "product_s": product["per_step"],
        "traffic_gb": alternating.significant(floor.traffic_bytes(shape) / 1e9),
        "gb_per_s": alternating.significant(memory / 1e9),
        "floor_s": alternating.significant(least),
        "share_reached": alternating.significant(least / found["jax"]["per_step"]["median"], 3),
    }


def against_torch(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Compare time and memory; on a GPU the memory of the device."""
    jax, torch = entry["jax"], entry["torch"]
    name = "device_peak_gib" if jax.get("device_peak_gib") else "peak_gib"
    compared = {"times_faster": alternating.ratio(torch["step_s"], jax["step_s"])}
    if jax.get(name) and torch.get(name):
        compared["memory_share"] = alternating.significant(jax[name] / torch[name], 3)
    return compared


if __name__ == "__main__":
    main()
