"""The page of results: an introduction and a section for each benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rendering import (
    accuracy_tables,
    batch_tables,
    gpu_tables,
    held_out_tables,
    plots,
    single_results,
    streaming_tables,
    tables,
)

Found = Mapping[str, Sequence[dict[str, Any]]]
FILES = ("step", "sizes", "profile", "precision", "epoch", "startup", "evaluate", "seeds",
         "prepare", "effects", "network_stats", "accuracy", "held_out", "batches",
         "models", "streaming", "gpu_compile")  # fmt: skip
MISSING = "Not measured yet: `python -m benchmarks.{command}`."

INTRO = """\
# Benchmarks

`make bench` measures everything on the processor and writes this page; `make bench ARGS=--quick`
takes minutes, at tiny sizes, and writes no results. `make bench-gpu` does the same on a GPU. To
measure one thing, run its command from the root of the clone; `python -m benchmarks` lists them:

    python -m benchmarks.step --quick

Programs that are compared take turns within one run, each in a process of its own. A time is the
median over all rounds, with the minimum and maximum in brackets. This page is generated from
`benchmarks/results/` by `python -m benchmarks.render`: do not edit it."""

STEP = """\
One optimiser step with the published settings: batches of 512 cells, five particles, simulated
cells of the published data sets' sizes. This package runs steps as training does: several in one
compiled scan, which gathers the cells and draws the noise. PyTorch is a plain eager implementation
that does the original's work (`benchmarks/torch_baseline.py`); its data loader is not counted. The
floor is the time of the matrix products that the mathematics needs, at the rate of one large
product measured between the steps; on a GPU it is at least the time of the memory traffic."""

COUNTS = """\
A product [m, k] x [k, n] takes 2 m k n operations. Its gradient takes two more products of the same
size, or one where the left factor is data. Effects are counted once per perturbed treatment, counts
once per cell. On a GPU the floor is the longer of the products' time and the memory traffic's: six
passes over [P, B, G] in float32, and seven over the parameters."""

SIZES = """\
One size of RPE1's shape changes at a time, with four particles; perturbed treatments change with
the treatments. "Products grow" counts operations. "At most" is the growth that the mathematics
allows the largest part: treatments act in pairs, everything else linearly. Products are counted for
the rows of all perturbations. A small batch leaves most of them out, so a step grows faster with
the batch than the products do."""

PROFILE = """\
Each part is compiled and timed alone, forward and backward. Its floor is the longer of two times:
its products at the machine's rate, and the bytes that it must read and write. Compiled together,
parts share work and memory, so their sum need not be the whole step."""

PRECISION = """\
Training with `train.precision` float32, TF32 and bfloat16: on the demo's cells, whose network is
known, and on the arrays of a recorded run (`reference`, a real screen).{by} "Apart" is the largest
relative difference from float32 with the same seed. Evaluation always multiplies in float32."""

EPOCH = """\
Shuffling, all steps and validation, in one compiled program. "Beyond steps and validation" is the
rest of an epoch, after subtracting its steps and its validation, each measured alone. PyTorch is
extrapolated: as many of its steps and loaded batches, without validation, beside our epoch without
validation."""

STARTUP = """\
A run of the demo preset, from the start of the process to the end of its first epoch: imports,
simulated data, compilation, and the epoch. Compiled programs are kept in a cache folder, so that a
second start with the same shapes does not compile."""

EVALUATION = "The predictive IWELBO of held-out cells, in chunks of particles and cells."

SEEDS = """\
An epoch of several seeds at once, in one vmapped program, beside an epoch of each seed alone, on
small data; and on a CPU in processes, one on each core at a time. Seeds per second are epochs of
one seed, in the order of the columns. "Times faster" is all at once against one by one: two cores
can show that vmapping gains nothing where a seed alone keeps them busy, and not what it gains on a
card that one small run leaves idle. Processes leave out that each compiles for itself. Rows of
different hours cannot be compared with each other."""


ACCURACY = """\
How well models predict effects on cells that they have not seen, and how well they find the network
of a simulation. "Network" predicts from control cells, "own cells" from the perturbation's training
cells; the baselines are the mean of those cells, and that mean shrunk. Numbers are means over
seeds, with the range (minimum to maximum) in brackets where seeds differ. Seeds train on the same
data, unless its name ends with "new for each seed". Rankings: strength is the probability of an
edge times the size of its effect; z is the observed change over its standard error; ridge is linear
deconvolution."""


HELD_OUT = """\
Test cells of perturbations that no training cell carries. Each cell has three numbers: Pearson r
over the genes that are not perturbed themselves, r over all genes, and the rank of the own
prediction (0 is best, 0.5 chance); means over seeds. Each seed holds out other perturbations, of a
simulation of its own or of the same screen. Simulations of combinations have 30 % of the perturbed
cells with two. Skill is the mean lead in r over other genes of the network over the best baseline,
with its standard error, over the perturbations of all seeds. The simulations spread changes along a
network, as the model does: skill there is no promise for a screen."""

BATCHES = """\
Pearson r of predicted effects with the true ones, that is those in all cells of the same screen
simulated without batch effects, and with those of test cells; means over seeds. Without
`batch_key` the effects of test cells are confounded by batches, too: of each perturbation, 70 % of
the cells are in one batch."""

MODELS = """\
A step of the accurate model beside one of the published model, of one batch size and number of
particles, taking turns. The products of the accurate model are those of its own sizes
(`benchmarks.floor` lists them)."""


STREAMING = """\
Training from cells on disk, in simulated screens of three sizes, each in a process of its own. The
loader reads whole shuffled epochs, the files being in the system's cache: a cold or distant disk
adds its own time. Two processor cores take a step of 512 cells in seconds, so here the step is the
limit by far, and memory is what these numbers can show; on a GPU, compare the loader's rate with
512 cells over the time of a step."""


COMPILED = """\
What the compiler makes of the programs for cards that need not be there: `make gpu-compile`
compiles them and fails where one has more passes or 5 % more kernels or bytes than listed here, a
host transfer, a decision inside a loop or in an evaluation, float64, or a product in another
precision than asked for. Numbers are for one step, or one run of an epoch, an evaluation (8
particles, 64 cells) or a prediction (8 particles, 32 conditions). A step is one of an epoch whose
batches keep to the rows of the network that a GPU would be given; the others take
[longer](../docs/performance.md#a-step-on-a-gpu-predicted). The roofline is a prediction, not a
time: each product, and each other kernel over 3 us, takes its bytes over the bandwidth or its
operations over the rate, whichever is longer; each short kernel 0.5 us, as in a graph. Bytes are
what a kernel reads and writes, of gathered rows only those. Products are tiled without autotuning,
which a card would do. A decision is a loop or a branch whose course the host must be told."""


def draw(found: Found, folder: Path) -> dict[str, str]:
    """Draw the plots; return the link of each by name."""
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
    """Return the entry to draw: from a GPU if there is one, of the first shape."""
    found = [e for device in ("cuda", "cpu") for e in tables.ordered(entries, device)]
    return found[0] if found else None


def text(found: Found, links: Mapping[str, str]) -> str:
    """Return the page in Markdown."""
    rounded = tables.rounded_by(found["precision"])
    # title, introduction, command, text of the results, plot
    sections = [
        ("A training step", STEP, "step", tables.steps(found["step"], "cpu"), "step"),
        ("A training step on a GPU", "", "step --device cuda",
         tables.steps(found["step"], "cuda"), "step_gpu"),
        ("Programs compiled for a GPU", COMPILED, "gpu_compile --write",
         gpu_tables.compiled(found["gpu_compile"]), ""),
        ("What the floor counts", COUNTS, "floor", tables.counts(found["step"]), ""),
        ("Cost against size", SIZES, "sizes", tables.sizes(found["sizes"]), "sizes"),
        ("Where a step's time goes", PROFILE, "profile", tables.profile(found["profile"]),
         "profile"),
        ("The effect of rounded products", PRECISION.format(by=rounded), "precision",
         tables.precision(found["precision"]), ""),
        ("An epoch", EPOCH, "epoch", tables.epochs(found["epoch"]), ""),
        ("Starting a run", STARTUP, "startup", single_results.startup(found["startup"]), ""),
        ("Evaluation", EVALUATION, "evaluate", tables.evaluations(found["evaluate"]), ""),
        ("Average treatment effects", "", "effects", single_results.effects(found["effects"]), ""),
        ("Network statistics", "", "network_stats",
         single_results.network_statistics(found["network_stats"]), ""),
        ("Several seeds at once", SEEDS, "seeds", tables.several_seeds(found["seeds"]), ""),
        ("Accuracy", ACCURACY, "accuracy", accuracy_tables.tables(found["accuracy"]), ""),
        ("Perturbations that training has not seen", HELD_OUT, "held_out",
         held_out_tables.held_out(found["held_out"]), ""),
        ("Batches", BATCHES, "batches", batch_tables.batches(found["batches"]), ""),
        ("Both models", MODELS, "models", single_results.models(found["models"]), ""),
        ("Cells on disk", STREAMING, "streaming",
         streaming_tables.streaming(found["streaming"]), ""),
        ("Preparation", "", "prepare", single_results.preparation(found["prepare"]), ""),
    ]  # fmt: skip
    texts = [INTRO]
    for title, intro, command, results, plot in sections:
        shown = f"![{title}]({links[plot]})" if plot in links else ""
        texts += [f"## {title}", intro, shown, results or MISSING.format(command=command)]
    texts += ["## Machines", machines(found) or "Nothing measured yet."]
    return "\n\n".join(text for text in texts if text) + "\n"


def machines(found: Found) -> str | None:
    """Return the machine, commit and versions of each result as a table."""
    rows = []
    for name in FILES:
        for e in found[name]:
            machine = e["machine"]
            keys = ("card",) if name == "gpu_compile" else ("shape", "device", "precision")
            which = [e.get(key) for key in keys if key in e]
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
    rows = list(dict.fromkeys(rows))  # runs of one kind share a line
    head = ("result", "of", "machine", "memory", "commit", "versions")
    return tables.table(head, rows) if rows else None
