"""The section on training from cells on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.rendering.tables import NAMES, gib, table, wrapped

LOADERS = {"executor": "threads of the standard library", "grain": "grain", "memory": "memory"}


def streaming(entries: Sequence[Mapping[str, Any]]) -> str | None:
    """Return memory against cells, and the rates of loaders and steps."""
    return "\n\n".join(_streaming(e) for e in entries) or None


def _streaming(e: Mapping[str, Any]) -> str:
    sizes = [
        (f"{of['cells']:,}", of["kept"], gib(of["cells_gib"]), gib(of["opening_gib"]),
         f"**{gib(of['peak_gib'])}**", f"{of['opening_s']:g} s",
         "" if of["reading_an_epoch_s"] is None else f"{of['reading_an_epoch_s']:g} s")
        for of in e["sizes"]
    ]  # fmt: skip
    head = ("cells", "kept in", "training and validation cells", "peak of opening",
            "peak with steps", "opening for the first time", "an epoch read alone")  # fmt: skip
    ways = [way for way in LOADERS if way in e["loader"]["published"]["cells_per_s"]]
    rates = [
        (f"loader alone, {model} model ({of['bytes_per_cell']:,} bytes a cell)",
         *(_rate(of["cells_per_s"][way]) for way in ways))
        for model, of in e["loader"].items() if model != "threads"
    ]  # fmt: skip
    step = e["step_cells_per_s"]
    rates.append(("whole step, published model",
                  *(_rate(step["disk" if way == "executor" else way])
                    if way != "grain" else "" for way in ways)))  # fmt: skip
    intro = wrapped(
        f"{NAMES.get(e['shape'], e['shape'])}'s {e['genes']:,} genes, batches of "
        f"{e['batch_size']} cells. Peaks include the interpreter, jax and the compiler, and four "
        "steps of the published model."
    )
    between = wrapped(
        f"Cells a second with {e['rates_at_cells']:,} cells and {e['loader']['threads']} threads, "
        "the median with the range in brackets:"
    )
    rates_head = ("cells per second", *(LOADERS[way] for way in ways))
    return f"{intro}\n\n{table(head, sizes)}\n\n{between}\n\n{table(rates_head, rates)}"


def _rate(of: Mapping[str, float]) -> str:
    return f"{of['median']:,.0f} ({of['min']:,.0f} to {of['max']:,.0f})"
