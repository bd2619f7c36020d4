"""The section on programs compiled for cards that are not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.gpu.cards import CARDS
from benchmarks.measuring.options import PRECISIONS
from benchmarks.rendering.plots import NAMES
from benchmarks.rendering.tables import ORDER, table

Entry = Mapping[str, Any]
MODELS, PROGRAMS = ("published", "accurate"), ("step", "epoch", "evaluation", "prediction")
HEAD = ("program", "kernels", "of them products", "MB moved", "GFLOP", "products", "long kernels",
        "short kernels", "sum", "arguments", "temporary")  # fmt: skip


def compiled(entries: Sequence[Entry]) -> str | None:
    """Return a table for each card."""
    parts = []
    for name, card in CARDS.items():
        found = sorted((e for e in entries if e["card"] == name), key=_place)
        if found:
            rates = ", ".join(f"{p} {card.rates[p] / 1e12:g}" for p in PRECISIONS)
            intro = (
                f"For an {card.label}; roofline at {card.bandwidth / 1e12:g} TB/s and, in TFLOP/s, "
                f"{rates}:"
            )
            parts.append(f"{intro}\n\n{table(HEAD, map(_row, found))}")
    return "\n\n".join(parts) or None


def _place(entry: Entry) -> tuple[int, ...]:
    order = {"program": PROGRAMS, "model": MODELS, "shape": ORDER, "precision": PRECISIONS}
    return tuple(names.index(entry[key]) for key, names in order.items())


def _row(e: Entry) -> tuple[str, ...]:
    of, shape = e["roofline_us"], NAMES.get(e["shape"], e["shape"])
    n = len(e["decided_on_the_way"])
    waits = f" ({n} decision{'s' * (n > 1)})" if n else ""
    return (
        f"{e['model']} {shape} {e['program']}, {e['precision']}{waits}",
        f"{e['kernels']:,}", f"{e['product_kernels']:,}", f"{e['megabytes']:,.0f}",
        f"{e['gflop']:,.0f}", *(f"{_ms(of[name])}" for name in ("products", "long", "short")),
        f"**{_ms(sum(of.values()))} ms**",
        f"{e['arguments_mib'] / 1024:.2f} GiB", f"{e['temporary_mib'] / 1024:.2f} GiB",
    )  # fmt: skip


def _ms(us: float) -> str:
    return f"{us / 1000:.3g}"
