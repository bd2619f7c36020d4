"""The main numbers of an evaluation as text of at most 80 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from gpo_vae_jax.evaluate.effect_sources import (
    CELLS,
    PREDICTIONS,
    SOURCES,
    UNSEEN,
    UNSEEN_PREDICTIONS,
    UNSEEN_SOURCES,
    WARN_ABOVE,
)
from gpo_vae_jax.evaluate.main_numbers import calls_in_words, effects_on, verdict_on_effects
from gpo_vae_jax.evaluate.metrics import best_of, metric
from gpo_vae_jax.evaluate.network.baseline_rankings import RANKINGS
from gpo_vae_jax.evaluate.unseen_words import skill_in_words

_WIDTH, _LABEL, _VALUE = 80, 24, 14
_NAME, _SCORE, _COLUMNS = 24, 8, 7  # _NAME + _COLUMNS * _SCORE = _WIDTH
_SHORT = {
    "pearson": "r",
    "r2": "R2",
    "pearson_top": "r top",
    "r2_top": "R2 top",
    "pearson_each": "r each",
    "pearson_others": "others",
    "rank": "rank",
    "de_overlap": "DE",
}
_UNSEEN = ("pearson", "r2", "pearson_top", "pearson_each", "pearson_others", "rank", "de_overlap")
_SETS = {"block": "perturbed genes", "all": "all genes"}


def terminal_table(summary: Mapping[str, Any]) -> str:
    """Return the main numbers of a summary as text: effects, fit, network, known networks, truth.

    A star marks the best prediction of each row by the metric's direction; an arrow pointing down
    marks metrics where lower is better. Parts that were not evaluated are left out.
    """
    parts = [
        *(_effects(summary, cells) for cells in CELLS),
        _unseen(summary),
        _cells(summary),
        _network(summary),
        _rankings(summary.get("rankings") or {}),
        _explained(summary),
        _known(summary.get("known_networks") or {}),
        _truth(summary.get("truth") or {}),
        textwrap.wrap(calls_in_words(summary), _WIDTH),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _effects(summary: Mapping[str, Any], cells: str) -> list[str]:
    found = effects_on(summary, cells)
    if not found:
        return []
    shown = [name for name in found if name != "pearson_spread"]
    shown = shown if cells == "held_out" else shown[:_COLUMNS]
    best = {
        name: best_of(name, {source: found[name][source] for source in PREDICTIONS})
        for name in shown
    }
    best = {name: keys if len(keys) < len(PREDICTIONS) else () for name, keys in best.items()}
    lines: list[str] = []
    for columns in (shown[i : i + _COLUMNS] for i in range(0, len(shown), _COLUMNS)):
        heads = [_short(name) + "↓" * (metric(name).higher_is_better is False) for name in columns]
        title = "" if lines else f"Effects on {CELLS[cells]}"
        lines += _row(title, [f"{head} " for head in heads], _NAME, _SCORE)
        for source, name_of_source in SOURCES.items():
            values = [(name, found[name][source]) for name in columns]
            if any(not math.isnan(value) for _, value in values):
                marks = ["*" if source in best[name] else " " for name, _ in values]
                texts = [
                    _number(value) + mark for (_, value), mark in zip(values, marks, strict=True)
                ]
                lines += _row(f"  {name_of_source}", texts, _NAME, _SCORE)
    marked = any(best.values())
    if cells == "held_out":
        verdict = verdict_on_effects(summary)
        verdict = f"{verdict[:1].upper()}{verdict[1:]}. " if verdict else ""
        top = (summary.get("settings") or {}).get("top")
        note = "* the best prediction; half vs half is what the noise of the data allows. "
        note += "each: mean over perturbations of r over genes. "
        note += f"top: the {top} genes of largest observed effect. " if top else ""
        note += "J: Jaccard index. "
        note += "rank: share of other perturbations' predictions that are nearer (0.5: chance). "
        note += "DE: overlap with the genes that respond."
        error = (summary.get("monte_carlo") or {}).get("model")
        note += "" if error is None else f" Monte-Carlo noise costs at most {error:.4f} r."
        lines += textwrap.wrap(verdict, _WIDTH) + (textwrap.wrap(note, _WIDTH) if marked else [])
    return lines


def _unseen(summary: Mapping[str, Any]) -> list[str]:
    """Return what is predicted for perturbations that no training cell carries, by kind."""
    lines: list[str] = []
    for kind, scores in (summary.get("unseen") or {}).items():
        if kind == "all":
            continue
        n = scores["n_perturbations"]
        lines += [f"Not in training, test cells: {n} {UNSEEN[kind][n != 1]}"]
        names = [name for name in _UNSEEN if name in (scores.get("model") or {})]
        best = {
            name: best_of(name, {s: scores[s].get(name) for s in UNSEEN_PREDICTIONS if s in scores})
            for name in names
        }
        heads = [_short(name) + "↓" * (metric(name).higher_is_better is False) for name in names]
        lines += _row("", [f"{head} " for head in heads], _NAME, _SCORE)
        for source, label in UNSEEN_SOURCES.items():
            values = [(name, (scores.get(source) or {}).get(name)) for name in names]
            if any(value is not None and math.isfinite(value) for _, value in values):
                texts = [
                    _number(value) + ("*" if source in best[name] else " ")
                    for name, value in values
                ]
                lines += _row(f"  {label}", texts, _NAME, _SCORE)
    for said in skill_in_words(summary):
        lines += textwrap.wrap(said, _WIDTH)
    if lines:
        note = "others: mean over perturbations of r over the genes that they do not perturb. "
        note += "rank: 0.5 is chance. DE: overlap of responding genes."
        lines += textwrap.wrap(note, _WIDTH)
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


def _short(name: str) -> str:
    """Return the head of a narrow column."""
    if name.startswith("jaccard_"):
        return "J " + name.removeprefix("jaccard_")
    return _SHORT.get(name, name[: _SCORE - 2])


def _rankings(rankings: Mapping[str, Any]) -> list[str]:
    """Return lines about the network beside rankings that need no model."""
    if not rankings:
        return []
    number = next(iter(rankings.values())).get("n_edges")
    heads = ("differ", "distance", "omitted ↓", "truth", "known")
    keys = ("true_positive_share", "mean_wasserstein", "omitted_share", "truth_auprc",
            "known_auprc")  # fmt: skip
    lines = _row(f"Top {number} pairs by", heads, 28, 10)
    names = {"model": "network", **RANKINGS}
    for name, found in rankings.items():
        lines += _row(f"  {names.get(name, name)}", [_number(found.get(k)) for k in keys], 28, 10)
    note = (
        "differ: share of the pairs whose target differs in test cells; distance: their mean "
        "Wasserstein distance; omitted: share of the other pairs whose target differs; truth, "
        "known: AUPRC of all pairs against the true and the known networks."
    )
    return lines + textwrap.wrap(note, _WIDTH)


def _explained(summary: Mapping[str, Any]) -> list[str]:
    """Return a warning where one end of an edge alone explains its probability."""
    shares = (summary.get("network") or {}).get("explained") or {}
    high = {end: value for end, value in shares.items() if value > WARN_ABOVE}
    if not high:
        return []
    end = max(high, key=high.__getitem__)
    text = (
        f"Warning: the {end} alone explains {high[end]:.0%} of the variance of edge probabilities. "
        "The network says little about who regulates whom."
    )
    return textwrap.wrap(text, _WIDTH)


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
