"""Quality of drawn cells, and how the report was computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpo_vae_jax.evaluate.report.drawing import figure_of
from gpo_vae_jax.evaluate.report.markup import Markup, definitions, element, joined, table
from gpo_vae_jax.evaluate.report.metric_plots import quality_plot
from gpo_vae_jax.evaluate.report.section import Section, empty, paragraph
from gpo_vae_jax.evaluate.report.wording import NOTHING, count, dig, name, real, share, words


def quality_section(summary: dict[str, Any]) -> Section:
    """Show how many of the cells drawn as good pass the data's quality control."""
    size = count(dig(summary, "settings", "library_size"))
    labels = {
        "reference": f"drawn at {size} UMIs"
        if size != NOTHING
        else "drawn at a fixed library size",
        "observed": "drawn at library sizes of good cells",
        "data": "observed cells of the data",
    }
    found = summary.get("quality") or {}
    series = {
        labels.get(key, words(key)): part
        for key, part in found.items()
        if isinstance(part, Mapping)
    }
    plot = quality_plot(series, "")
    if plot is None:
        text = "No cells were drawn: the data does not say when a cell fails quality control."
        return Section("quality", "Quality of drawn cells", empty(text))
    thresholds = sorted(
        {key for part in series.values() for key in part}, key=lambda k: real(k) or 0
    )
    rows = [
        [label, *(share(part.get(key)) for key in thresholds)] for label, part in series.items()
    ]
    drawn = count(dig(summary, "settings", "quality_cells"))
    text = (
        f"Of each perturbation {drawn} cells are drawn at good quality and judged by the limits of "
        "the data: within so many MADs (median absolute deviations) of the median."
    )
    header = ["share that passes", *(f"{name(key)} MADs" for key in thresholds)]
    body = [
        paragraph(text),
        element("div", figure_of(plot), table("Quality control", header, rows), class_="pair"),
    ]
    return Section("quality", "Quality of drawn cells", joined(body), (plot,))


def method_section(summary: dict[str, Any]) -> Section:
    """Show settings, versions and commands."""
    run = summary.get("run") or {}
    facts = [
        ("run", name(run.get("name"))),
        ("folder", _code(run.get("workdir"))),
        ("data", _code(dig(run, "data", "path"))),
        ("seed of training", name(run.get("seed"))),
        ("trained on", name(run.get("device"))),
        ("versions", _versions(run.get("versions") or {})),
    ]
    settings = [
        (words(key), _setting(value)) for key, value in (summary.get("settings") or {}).items()
    ]
    commands = run.get("commands") or [
        f"python scripts/evaluate.py --workdir={name(run.get('workdir') or 'RUN')}"
    ]
    body = [
        definitions([(term, fact) for term, fact in facts if fact != NOTHING]),
        element("h3", "Settings of the evaluation") if settings else None,
        definitions(settings) if settings else None,
        element("h3", "Again"),
        element("pre", element("code", "\n".join(name(command) for command in commands))),
        paragraph(
            "Everything random follows from the seeds, so the same run gives the same report. The "
            "equations are in docs/method.md, the files beside this page in docs/evaluation.md.",
            class_="note",
        ),
    ]
    return Section("method", "How this was computed", joined(body))


def _code(value: Any) -> Markup | str:
    return element("code", name(value)) if value else NOTHING


def _versions(versions: Mapping[str, Any]) -> str | Markup:
    return ", ".join(f"{name(key)} {name(value)}" for key, value in versions.items()) or NOTHING


def _setting(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_setting(part) for part in value) or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return count(value)
    return name(f"{value:g}" if isinstance(value, float) else value)
