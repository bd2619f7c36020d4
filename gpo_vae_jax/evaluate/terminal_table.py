"""The main numbers of an evaluation as text of at most 80 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from gpo_vae_jax.evaluate.main_numbers import effects_on, verdict_on_effects
from gpo_vae_jax.evaluate.metrics import CELLS, PREDICTIONS, SOURCES, best_of, metric

_WIDTH, _LABEL, _VALUE = 80, 24, 14  # _LABEL + 4 * _VALUE = _WIDTH
_SETS = {"block": "perturbed genes", "all": "all genes"}


def terminal_table(summary: Mapping[str, Any]) -> str:
    """Return the main numbers of a summary as text: effects, fit, network, known networks, truth.

    A star marks the best prediction of each row by the metric's direction; an arrow pointing down
    marks metrics where lower is better. Parts that were not evaluated are left out.
    """
    parts = [
        *(_effects(summary, cells) for cells in CELLS),
        _cells(summary),
        _network(summary),
        _known(summary.get("known_networks") or {}),
        _truth(summary.get("truth") or {}),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _effects(summary: Mapping[str, Any], cells: str) -> list[str]:
    found = effects_on(summary, cells)
    if not found:
        return []
    lines = _row(f"Effects on {CELLS[cells]}", [f"{title} " for title in SOURCES.values()])
    marked = False
    for name, values in found.items():
        row = metric(name)
        best = best_of(row, {source: values[source] for source in PREDICTIONS})
        best = () if len(best) == len(PREDICTIONS) else best
        marked = marked or bool(best)
        texts = [_number(v) + ("*" if source in best else " ") for source, v in values.items()]
        lines += _row(f"  {row.label}" + " ↓" * (row.higher_is_better is False), texts)
    if cells == "held_out":
        verdict = verdict_on_effects(summary)
        verdict = f"{verdict[:1].upper()}{verdict[1:]}. " if verdict else ""
        top = (summary.get("settings") or {}).get("top")
        note = "* the best prediction; half vs half is what the noise of the data allows. "
        note += f"Top genes: the {top} of largest observed effect." if top else ""
        lines += textwrap.wrap(verdict, _WIDTH) + (textwrap.wrap(note, _WIDTH) if marked else [])
    return lines


def _cells(summary: Mapping[str, Any]) -> list[str]:
    """Return lines about the fit to test cells and the quality of drawn cells."""
    lines = []
    bound = summary.get("predictive_iwelbo") or {}
    if bound:
        row = metric("predictive_iwelbo.mean")
        lines.append(
            f"{row.label} {_number(bound.get('mean'))} {row.unit} (standard error "
            f"{_number(bound.get('standard_error'))}, {bound.get('n_cells')} test cells)"
        )
    for libraries, shares in (summary.get("quality") or {}).items():
        if shares:
            texts = ", ".join(f"{_number(share)} at {mads} MADs" for mads, share in shares.items())
            size = (summary.get("settings") or {}).get("library_size")
            sizes = {"observed": "observed library sizes", "reference": f"library size {size:,.0f}"
                     if size else "one library size"}  # fmt: skip
            lines.append(f"QC pass rate of drawn cells, {sizes.get(libraries, libraries)}: {texts}")
    return [part for line in lines for part in textwrap.wrap(line, _WIDTH, subsequent_indent="  ")]


def _network(summary: Mapping[str, Any]) -> list[str]:
    network = summary.get("network") or {}
    if not network:
        return []
    lines = _row("Network, tested on test cells", _SETS.values(), 44, 18)
    for name in ("edges.n", "edges.n_evaluable", "edges.true_positive_share",
                 "edges.mean_wasserstein", "false_omission_rate"):  # fmt: skip
        row, found = metric(name), []
        for which in _SETS:
            value: Any = network.get(which) or {}
            for key in name.split("."):
                value = value.get(key) if isinstance(value, Mapping) else None
            found.append(str(value) if isinstance(value, int) else _number(value))
        arrow = " ↓" * (row.higher_is_better is False)
        lines += _row(f"  {row.label}{arrow}", found, 44, 18)
    note = (
        "Targets differ where their expression differs between perturbed and control test cells, "
        "directly or indirectly. Self edges are not counted."
    )
    return lines + textwrap.wrap(note, _WIDTH)


def _known(known: Mapping[str, Any]) -> list[str]:
    if not known:
        return []
    names = ("shared", "precision", "(random)", "AUPRC", "(random)")
    lines = _row("Known networks", names, 30, 10)
    for name, found in known.items():
        keys = ("precision", "random_precision", "auprc", "random_auprc")
        values = [str(found.get("n_shared")), *(_number(found.get(key)) for key in keys)]
        lines += _row(f"  {name}", values, 30, 10)
    return lines


def _truth(truth: Mapping[str, Any]) -> list[str]:
    if truth.get("auprc") is None:
        return []
    return [
        f"True network: AUPRC {_number(truth['auprc'])} (random ranking "
        f"{_number(truth.get('random_auprc'))}), AUROC {_number(truth.get('auroc'))}"
    ]


def _row(label: str, values: Iterable[str], first: int = _LABEL, width: int = _VALUE) -> list[str]:
    """Return a label and right-aligned values; a label that is too long has a line of its own."""
    text = "".join(f"{value:>{width}}" for value in values)
    if len(label) >= first:
        return [label[:_WIDTH], (" " * first + text).rstrip()]
    return [f"{label:{first}}{text}".rstrip()]


def _number(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.3f}"
