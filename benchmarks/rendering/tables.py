"""Tables of the results in Markdown; each function returns None where nothing was measured."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.inputs import shapes
from benchmarks.measuring.options import PRECISIONS
from benchmarks.programs import floor
from benchmarks.rendering.plots import BESIDE, NAMES, SIZES, seconds

Entry = Mapping[str, Any]
ORDER = ("rpe1", "k562", "adamson", "tiny")


def ordered(entries: Iterable[Entry], device: str) -> list[Entry]:
    """Return the entries of a device by shape, then precision; those beside PyTorch come first."""
    beside = ("torch", "upstream", "nothing")

    def place(entry: Entry) -> tuple[int, ...]:
        by = ((ORDER, "shape"), (PRECISIONS, "precision"), (beside, "beside"))
        return tuple(
            names.index(entry[key]) if entry.get(key) in names else len(names) for names, key in by
        )

    return sorted((e for e in entries if e["device"] == device), key=place)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def wrapped(text: str, indent: str = "") -> str:
    """Wrap a paragraph at 100 columns; all lines but the first are indented."""
    return textwrap.fill(text, 100, subsequent_indent=indent, break_on_hyphens=False)


def with_spread(of: Mapping[str, float]) -> str:
    """Return a median with its range."""
    return f"{seconds(of['median'])} ({seconds(of['min'])} to {seconds(of['max'])})"


def gib(value: float | None) -> str:
    """Return an amount of memory as text."""
    return "" if value is None else f"{value:.2f} GiB"


def steps(entries: Sequence[Entry], device: str) -> str | None:
    """Return a step's time beside PyTorch and the floor, and its memory."""
    found = ordered(entries, device)
    if not found:
        return None
    head = ("shape", "precision", "this package", "compared with", "its step", "times faster",
            "floor", "share of the floor's speed")  # fmt: skip
    times = table(
        head,
        (
            (
                NAMES.get(e["shape"], e["shape"]),
                e["precision"],
                with_spread(e["jax"]["step_s"]),
                BESIDE.get(e["beside"], ""),
                with_spread(e["torch"]["step_s"]) if "torch" in e else "not measured yet",
                f"**{e['times_faster']:g}**" if "torch" in e else "",
                seconds(e["floor"]["floor_s"]),
                f"**{e['floor']['share_reached']:.0%}**",
            )
            for e in found
        ),
    )
    return f"{times}\n\n{_step_memory(found, device)}\n\n{_step_conditions(found, device)}"


def _step_memory(found: Sequence[Entry], device: str) -> str:
    on_gpu = device == "cuda"
    key = "device_peak_gib" if on_gpu else "peak_gib"
    head = ("shape", "precision", f"peak {'on the device' if on_gpu else 'of the process'}",
            "data and state", "temporary (compiler's estimate)", "peak of PyTorch", "share of it",
            "compilation")  # fmt: skip
    return table(
        head,
        (
            (
                NAMES.get(e["shape"], e["shape"]),
                e["precision"],
                gib(e["jax"].get(key)),
                gib(e["jax"]["data_gib"] + e["jax"]["state_gib"]),
                gib(e["jax"].get("temporary_gib")),
                gib(e["torch"].get(key)) if "torch" in e else "not measured yet",
                f"**{e['memory_share']:.0%}**" if "memory_share" in e else "",
                seconds(e["jax"]["compile_s"]),
            )
            for e in found
        ),
    )


def _step_conditions(found: Sequence[Entry], device: str) -> str:
    lines = []
    for e in found:
        of = e["floor"]
        traffic = f"; {of['traffic_gb']:g} GB at {of['gb_per_s']:,.0f} GB/s" * (device == "cuda")
        condition = (
            f"- {NAMES.get(e['shape'], e['shape'])}, {e['precision']}: {e['genes']:,} genes, "
            f"{e['treatments']:,} treatments ({e['perturbed']:,} perturbed), batch "
            f"{e['batch_size']}, {e['particles']} particles, {e['parameters']:,} parameters; "
            f"{e['rounds']} rounds; {of['gflop']:g} GFLOP at {of['gflop_per_s']:,.0f} "
            f"GFLOP/s{traffic}"
        )
        lines.append(wrapped(condition, "  "))
    return "\n".join(lines)


def counts(entries: Sequence[Entry]) -> str:
    """Return the products that the floor counts: their sum by shape, and each one for RPE1."""
    names = [n for n in ORDER if any(e["shape"] == n for e in entries)] or ["rpe1"]
    sums = table(
        ("shape", "GFLOP forward and backward", "GB moved on a GPU"),
        (
            (
                NAMES[n],
                f"{floor.flop(shapes.SHAPES[n]) / 1e9:.4g}",
                f"{floor.traffic_bytes(shapes.SHAPES[n]) / 1e9:.3g}",
            )
            for n in names
        ),
    )
    each = floor.table(floor.products(shapes.SHAPES["rpe1"]))
    return f"{sums}\n\nThe products at RPE1's shape:\n\n{each}"


def sizes(entries: Sequence[Entry]) -> str | None:
    """Return how a step's time grows with each size."""
    texts = []
    for e in [*ordered(entries, "cpu"), *ordered(entries, "cuda")]:
        rows = []
        for name, points in e["lines"].items():
            growth = e["growth"][name]
            times = (f"{seconds(p['step_s']['median'])} at {p['value']:,}" for p in points)
            within = "yes" if growth["within"] else "**no**"
            rows.append(
                (SIZES[name], *times, f"{growth['times']:g}", f"{growth['products']:g}",
                 f"{growth['at_most']:g}", within)
            )  # fmt: skip
        head = ("size", "a quarter", "a half", "the whole", "times longer", "products grow",
                "at most", "within")  # fmt: skip
        texts.append(f"{_named(e)}, {e['particles']} particles:\n\n{table(head, rows)}")
    return "\n\n".join(texts) or None


def profile(entries: Sequence[Entry]) -> str | None:
    """Return the parts of a step with their floors."""
    texts = []
    for e in [*ordered(entries, "cpu"), *ordered(entries, "cuda")]:
        head = ("part", "in a step", "forward alone", "GFLOP", "GB", "floor", "bound by",
                "share of the floor's speed")  # fmt: skip
        rows = (
            (p["part"] + (f" ({p['calls']} times)" if p["calls"] > 1 else ""),
             seconds(p["in_step_s"]), seconds(p["forward_s"]["median"]), f"{p['gflop']:.3g}",
             f"{p['gb']:.3g}", seconds(p["floor_s"]), p["bound_by"], f"{p['share_of_floor']:.0%}")
            for p in sorted(e["parts"], key=lambda p: -p["in_step_s"])
        )  # fmt: skip
        whole = wrapped(
            f"{_named(e)}: the whole step takes {with_spread(e['whole_s'])}, the sum of its parts "
            f"{seconds(e['sum_of_parts_s'])}, the sum of their floors "
            f"{seconds(e['sum_of_floors_s'])}."
        )
        texts.append(f"{whole}\n\n{table(head, rows)}")
    return "\n\n".join(texts) or None


def epochs(entries: Sequence[Entry]) -> str | None:
    """Return an epoch's time and its components."""
    head = ("shape", "device", "cells", "steps", "an epoch", "a step in it", "validation",
            "beyond steps and validation", "compilation", "peak above the data",
            "PyTorch, training alone", "times faster")  # fmt: skip
    rows = []
    for e in [*ordered(entries, "cpu"), *ordered(entries, "cuda")]:
        torch = e.get("torch_extrapolated")
        rows.append(
            (NAMES.get(e["shape"], e["shape"]), f"{e['device']}, {e['precision']}",
             f"{e['train_cells']:,} + {e['validation_cells']:,}", e["steps"],
             with_spread(e["epoch_s"]), seconds(e["step_inside_s"]),
             f"{e['validation_share']:.0%}",
             f"{e['rest_share']:.1%}",
             seconds(e["compile_s"]),
             gib(e["device_peak_gib"] if e["device"] == "cuda" else e["above_data_gib"]),
             seconds(torch["training_s"]) if torch else "not measured yet",
             f"{torch['times_faster']:g}" if torch else "")
        )  # fmt: skip
    return table(head, rows) if rows else None


def evaluations(entries: Sequence[Entry]) -> str | None:
    """Return the speed of the predictive IWELBO."""
    head = ("shape", "device", "particles", "cells per second", "all test cells",
            "peak above the data", "compilation")  # fmt: skip
    rows = (
        (NAMES.get(e["shape"], e["shape"]), f"{e['device']}, {e['precision']}", e["particles"],
         f"{e['cells_per_s']['median']:.3g} ({e['cells_per_s']['min']:.3g} to "
         f"{e['cells_per_s']['max']:.3g})",
         f"{seconds(e['seconds_of_test_cells'])} for {e['test_cells']:,}",
         gib(e["device_peak_gib"] if e["device"] == "cuda" else e["above_data_gib"]),
         seconds(e["compile_s"]))
        for e in [*ordered(entries, "cpu"), *ordered(entries, "cuda")]
    )  # fmt: skip
    return table(head, rows) if entries else None


def rounded_by(entries: Sequence[Entry]) -> str:
    """Return a sentence about rounding in software, if any entry is from a CPU."""
    sentence = "\nOn a CPU, `benchmarks/programs/rounded.py` rounds the factors as a GPU would."
    return sentence * any(e["device"] == "cpu" for e in entries)


def precision(entries: Sequence[Entry]) -> str | None:
    """Return the effect of lower precision on the loss, its gradient and the trained model."""
    head = ("data", "precision", "device", "first loss apart", "its gradient's norm apart",
            "best validation loss", "apart", "IWELBO", "apart", "AUPRC",
            "probabilities correlate with float32's", "edges that differ")  # fmt: skip

    def of_seeds(entry: Entry, name: str, digits: int) -> str:
        return ", ".join(f"{value:.{digits}f}" for value in entry.get(name, ()))

    rows = (
        (e["data"], e["precision"], e["device"], f"{e['first_loss_apart']:.1g}",
         f"{e['first_gradient_norm_apart']:.1g}", of_seeds(e, "best_validation_loss", 3),
         f"{e['best_validation_loss_apart']:.1g}", of_seeds(e, "iwelbo", 2),
         f"{e['iwelbo_apart']:.1g}", of_seeds(e, "auprc", 3),
         f"{e['probabilities_correlate']:.4f}", e["edges_that_differ"])
        for device in ("cpu", "cuda")
        for e in sorted(ordered(entries, device), key=lambda e: e["data"])
    )  # fmt: skip
    return table(head, rows) if entries else None


def several_seeds(entries: Sequence[Entry]) -> str | None:
    """Return the time of training several seeds at once and one by one."""
    head = ("data", "device", "seeds", "an epoch of all at once", "one by one", "in processes",
            "seeds per second", "times faster")  # fmt: skip
    rows = []
    for e in [*ordered(entries, "cpu"), *ordered(entries, "cuda")]:
        ways = [e[way] for way in ("at_once_s", "one_by_one_s", "in_processes_s") if way in e]
        data = f"{e['train_cells']:,} cells, {e['genes']} genes, {e['treatments']} treatments"
        rates = " / ".join(f"{e['seeds'] / way['median']:.3g}" for way in ways)
        rows.append(
            (data, f"{e['device']}, {e['precision']}", e["seeds"],
             *(with_spread(way) for way in ways), *("",) * (3 - len(ways)), rates,
             f"**{e['times_faster']:g}**")
        )  # fmt: skip
    return table(head, rows) if entries else None


def _named(entry: Entry) -> str:
    name = NAMES.get(entry["shape"], entry["shape"])
    return f"{name}, {entry['device']}, {entry['precision']}"
