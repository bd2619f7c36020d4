r"""Measure an optimiser step beside PyTorch and beside the floor, alternating in one run.

    python -m benchmarks.step --quick     (tiny, a minute)
    python -m benchmarks.step --shape rpe1 k562 adamson     (half an hour on two cores)
    python -m benchmarks.step --device cuda --precision tf32     (on a GPU, minutes)

Three processes take turns: this package (k steps in one scan, as training runs them), plain PyTorch
(benchmarks/torch_baseline.py), and a large matrix product that shows the machine's speed at that
moment. --torch-python names another interpreter, which needs NumPy and torch alone. The result is
printed. Without --quick it also goes into benchmarks/results/step.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.inputs import shapes
from benchmarks.inputs.shapes import Shape
from benchmarks.measuring import options, results_file
from benchmarks.measuring.summary import ratio, significant, to_stderr
from benchmarks.programs import floor
from benchmarks.programs.torch_gpo_vae import settings
from benchmarks.workers import alternating

STEPS = {  # of one request, by device: enough of ours that setting up a call weighs little
    "cpu": {"jax": 16, "torch": 1, "product": 10},
    "cuda": {"jax": 40, "torch": 10, "product": 200},
}
PUBLISHED_SHAPES = ("rpe1", "k562", "adamson")
KEY = ("shape", "device", "precision", "beside")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every chosen shape."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    parser.add_argument("--shape", nargs="+", choices=shapes.SHAPES, default=PUBLISHED_SHAPES)
    options.add_rounds(parser, 5)
    options.add_device(parser)
    parser.add_argument(
        "--torch",
        action=argparse.BooleanOptionalAction,
        help="measure PyTorch beside it (default: if it is installed)",
    )
    parser.add_argument("--torch-python", default=sys.executable, help="a Python with torch")
    parser.add_argument("--torch-worker", help="a script to run instead of torch_baseline")
    parser.add_argument("--upstream", help="a clone of the original, instead of plain PyTorch")
    parser.add_argument("--upstream-entry", help="FILE:FUNCTION that steps the clone")
    parser.add_argument("--steps", type=int, help="of one request to this package")
    parser.add_argument("--torch-steps", type=int, help="of one request to PyTorch")
    args = options.parsed(parser, arguments)
    if args.torch is None:
        args.torch = args.torch_worker is not None or has_torch(args.torch_python)
    for name in args.shape:
        measured = measure(shapes.SHAPES[name], args)
        results_file.add(results_file.folder_of(args), "step", measured, KEY)


def has_torch(python: str) -> bool:
    """Return whether an interpreter can import torch."""
    if python == sys.executable:
        return importlib.util.find_spec("torch") is not None
    done = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    return done.returncode == 0


def measure(shape: Shape, args: argparse.Namespace) -> dict[str, Any]:
    """Let the workers alternate, and combine their answers."""
    steps = dict(STEPS[args.device])
    steps |= {"jax": args.steps or steps["jax"], "torch": args.torch_steps or steps["torch"]}
    commands = commands_of(shape, args, steps["jax"])
    found = alternating.measure(commands, steps, args.rounds, to_stderr)
    config = shapes.published(shape)
    entry = {
        "shape": shape.name,
        "device": args.device,
        "precision": args.precision,
        "beside": ("upstream" if args.upstream else "torch") if args.torch else "nothing",
        **{k: v for k, v in shape._asdict().items() if k in ("genes", "treatments", "perturbed")},
        "batch_size": config.train.batch_size,
        "particles": config.train.n_particles,
        "parameters": floor.n_parameters(shape),
        "rounds": args.rounds,
        **{name: of_worker(found[name]) for name in ("jax", "torch") if name in found},
        "floor": against_floor(shape, args.device, found),
    }
    return entry | (against_torch(entry) if args.torch else {})


def commands_of(shape: Shape, args: argparse.Namespace, k: int) -> dict[str, list[str]]:
    """Return the command line of each worker."""
    device = ["--device", args.device, "--precision", args.precision]
    of_shape = ["--shape", shape.name, *device]
    small = ["--small"] * args.quick
    commands = {"jax": alternating.module("programs.jax_step", *of_shape, "--ks", str(k))}
    if args.torch:
        commands["torch"] = torch_command(shape, args, ["--worker", *of_shape])
    commands["product"] = alternating.module("programs.matrix_product", *device, *small)
    return commands


def torch_command(shape: Shape, args: argparse.Namespace, same: list[str]) -> list[str]:
    """Return the command line of the PyTorch worker; its interpreter needs no package."""
    if args.torch_worker:
        return [args.torch_python, args.torch_worker, *same]
    if args.upstream:
        chosen = ["--upstream", args.upstream, "--upstream-entry", args.upstream_entry]
    else:
        chosen = ["--settings", json.dumps(settings.of_shape(shape))]
    return alternating.module("torch_baseline", *same, *chosen, python=args.torch_python)


def of_worker(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a worker's answers that is kept."""
    ready = {k: v for k, v in found["ready"].items() if k not in ("ready", "setup_s")}
    return {"step_s": found["per_step"], "loss": found["loss"], **ready, **found["last"]}


def against_floor(shape: Shape, device: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the floor, and the share of its speed that this package reaches.

    On a processor the floor counts products alone; on a GPU also the memory's traffic.
    """
    product = found["product"]
    rate = product["ready"]["gflop"] * 1e9 / product["per_step"]["median"]
    memory = product["ready"]["gb_per_s"] * 1e9
    least = floor.floor_s(shape, rate, memory if device == "cuda" else None)
    return {
        "gflop": significant(floor.flop(shape) / 1e9),
        "gflop_per_s": significant(rate / 1e9),
        "product_s": product["per_step"],
        "traffic_gb": significant(floor.traffic_bytes(shape) / 1e9),
        "gb_per_s": significant(memory / 1e9),
        "floor_s": significant(least),
        "share_reached": significant(least / found["jax"]["per_step"]["median"], 3),
    }


def against_torch(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Compare time and memory; on a GPU the memory of the device."""
    jax, torch = entry["jax"], entry["torch"]
    name = "device_peak_gib" if jax.get("device_peak_gib") else "peak_gib"
    compared = {"times_faster": ratio(torch["step_s"], jax["step_s"])}
    if jax.get(name) and torch.get(name):
        compared["memory_share"] = significant(jax[name] / torch[name], 3)
    return compared


if __name__ == "__main__":
    main()
