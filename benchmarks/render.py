"""Write benchmarks/README.md and its plots from benchmarks/results/*.json.

    python benchmarks/render.py
    python benchmarks/render.py --results DIR --output DIR

The same results give the same files. What has no result is named as not measured yet.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import render_earlier as earlier  # noqa: E402
from benchmarks import render_plots as plots  # noqa: E402
from benchmarks import render_tables as tables  # noqa: E402
from benchmarks import results_file  # noqa: E402

FILES = ("step", "sizes", "profile", "precision", "epoch", "evaluate", "seeds", "prepare",
         "effects", "network_stats")  # fmt: skip
MISSING = "Not measured yet: `{command}`."

INTRO = """\
# Benchmarks

Written by `benchmarks/render.py` from `benchmarks/results/`: do not edit it. `make bench` measures
everything on a processor (`ARGS=--quick`: in minutes, at tiny sizes, writing nothing into the
results), `make bench-gpu` on a GPU. What is compared is asked in turn within one run, each in a
process of its own. A time is the median of all rounds, in brackets the least and the most."""

STEP = """\
One optimiser step of the published settings: batch 512, five particles, simulated cells of the
published data sets' sizes. This package takes steps as training does, several in one compiled scan
that gathers the cells and draws the noise. PyTorch is a plain eager transcription of the method
that does the original's work (`benchmarks/torch_baseline.py`); its data loader is not counted. The
floor is the time of the matrix products that the mathematics needs, at the rate that the machine
reached between the steps with one large product{traffic}."""

COUNTS = """\
A product [m, k] x [k, n] takes 2 m k n operations, going backward two more of the same size, or
one where the left factor is data. Effects are counted once per perturbed treatment, counts once
per cell. On a GPU the floor is the longer of these products and of the memory's traffic: six passes
over [P, B, G] in float32 and seven over the parameters."""

SIZES = """\
From RPE1's shape, with four particles, one size at a time; treatments take the perturbed ones with
them. "Products grow" counts operations, "at most" is what the mathematics allows the largest part:
treatments act in pairs, everything else linearly. Products are counted for all perturbations' rows:
a small batch leaves most of them out, so a step grows faster with the batch than they do."""

PROFILE = """\
Each part compiled and timed alone, forward and backward. Its floor is the longer of its products at
the machine's rate and of the bytes it must read and write. Compiled together parts share work and
memory, so their sum need not be the whole step."""

PRECISION = """\
Training with `train.precision` float32, TF32 and bfloat16: on the demo's cells, whose network is
known, and on the arrays of a recorded run (`reference`, a real screen).{by} "Apart" is
the largest relative difference from float32 of the same seed. Evaluation multiplies in float32
always."""

EPOCH = """\
Shuffle, all steps and validation as one compiled program. "Beyond steps and validation" is what an
epoch takes beyond its number of steps, and validation, measured alone. PyTorch is extrapolated: as
many of its steps and loaded batches, without validation, beside our epoch without validation."""

EVALUATION = "Predictive IWELBO of held-out cells, in chunks of particles and cells."

SEEDS = "Several seeds trained at once by `vmap`, beside single runs, on small data."


def main() -> None:
    """Read, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--results", type=Path, default=results_file.FOLDER)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks")
    asked = parser.parse_args()
    found = {name: results_file.read(asked.results, name) for name in FILES}
    pictures = draw(found, asked.output / "plots")
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "README.md").write_text(page(found, pictures))
    print(f"wrote {asked.output / 'README.md'} and {len(pictures)} plots")


def draw(found: Mapping[str, Sequence[dict[str, Any]]], folder: Path) -> dict[str, str]:
    """Draw what was measured; give the link of each plot."""
    drawn = {}
    for name, entries, plot in (
        ("step", tables.ordered(found["step"], "cpu"), plots.plot_steps),
        ("step_gpu", tables.ordered(found["step"], "cuda"), plots.plot_steps),
        ("sizes", _first(found["sizes"]), plots.plot_sizes),
        ("profile", _first(found["profile"]), plots.plot_profile),
    ):
        if entries:
            plot(entries, folder / f"{name}.png")
            drawn[name] = f"plots/{name}.png"
    return drawn


def _first(entries: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the entry that is drawn: on a GPU if there is one, at the first shape."""
    found = [e for device in ("cuda", "cpu") for e in tables.ordered(entries, device)]
    return found[0] if found else None


def page(found: Mapping[str, Sequence[dict[str, Any]]], pictures: Mapping[str, str]) -> str:
    """Write the page."""
    traffic = "; on a GPU also that of the memory's traffic"
    on_cpu = tables.steps(found["step"], "cpu")
    on_gpu = tables.steps(found["step"], "cuda")
    sections = [
        ("A training step", STEP.format(traffic=traffic), "step", on_cpu, "step"),
        ("A training step on a GPU", "", "step --device cuda", on_gpu, "step_gpu"),
        ("What the floor counts", COUNTS, None, tables.counts(found["step"]), None),
        ("Cost against size", SIZES, "sizes", tables.sizes(found["sizes"]), "sizes"),
        ("Where a step's time goes", PROFILE, "profile_step", tables.profile(found["profile"]),
         "profile"),
        ("What rounding products does", PRECISION.format(by=tables.rounded_by(found["precision"])),
         "precision", tables.precision(found["precision"]), None),
        ("An epoch", EPOCH, "epoch", tables.epochs(found["epoch"]), None),
        ("Evaluation", EVALUATION, "evaluate", tables.evaluations(found["evaluate"]), None),
        ("Average treatment effects", "", "effects", earlier.effects(found["effects"]), None),
        ("Network statistics", "", "network_stats",
         earlier.network_statistics(found["network_stats"]), None),
        ("Several seeds at once", SEEDS, "seeds", tables.several_seeds(found["seeds"]), None),
        ("Preparation", "", "prepare", earlier.preparation(found["prepare"]), None),
        ("Machines", "", None, machines(found) or "Nothing measured yet.", None),
    ]  # fmt: skip
    texts = [INTRO]
    for title, intro, command, text, picture in sections:
        name, *options = (command or "render").split(" ", 1)
        missing = MISSING.format(command=" ".join([f"python benchmarks/{name}.py", *options]))
        shown = f"![{title}]({pictures[picture]})" if picture in pictures else ""
        texts += [f"## {title}", intro, shown, text or missing]
    return "\n\n".join(text for text in texts if text) + "\n"


def machines(found: Mapping[str, Sequence[dict[str, Any]]]) -> str | None:
    """Say on what, and with which versions, each result was measured."""
    rows = []
    for name in FILES:
        for e in found[name]:
            machine = e["machine"]
            which = [e.get(key) for key in ("shape", "device", "precision") if key in e]
            versions = {k: v for k, v in machine["versions"].items() if v}
            versions |= e.get("torch", {}).get("versions") or {}
            device = e.get("device_kind") or e.get("jax", {}).get("device_kind", "cpu")
            processor = f"{machine['processor']}, {machine['cores']} cores"
            rows.append(
                (name, ", ".join(map(str, which)), processor + f", {device}" * (device != "cpu"),
                 f"{machine['memory_gib']:g} GiB", machine["commit"] or "",
                 f"python {machine['python']}, "
                 + ", ".join(f"{k} {versions[k]}" for k in ("jax", "torch") if k in versions))
            )  # fmt: skip
    head = ("result", "of", "machine", "memory", "commit", "versions")
    return tables.table(head, rows) if rows else None


if __name__ == "__main__":
    main()
