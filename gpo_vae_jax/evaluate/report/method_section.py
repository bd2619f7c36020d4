"""Quality of sampled cells, and how the report was computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpo_vae_jax.evaluate.report.drawing import figure_of
from gpo_vae_jax.evaluate.report.markup import Markup, definitions, element, joined, table
from gpo_vae_jax.evaluate.report.metric_plots import quality_plot
from gpo_vae_jax.evaluate.report.repeat import changed_settings, repeat_command
from gpo_vae_jax.evaluate.report.section import Section, empty, paragraph
from gpo_vae_jax.evaluate.report.wording import NOTHING, count, dig, name, real, share, words


def quality_section(summary: dict[str, Any]) -> Section:
    """Return how many of the cells sampled as good pass the data's quality control."""
    size = count(dig(summary, "settings", "library_size"))
    labels = {
        "reference": f"sampled with {size} UMIs each" if size != NOTHING else "sampled, one size",
        "observed": "sampled with the library sizes of good cells",
        "data": "observed cells of the data",
    }
    found = summary.get("quality") or {}
    series = {
        labels.get(key, words(key)): part
        for key, part in found.items()
        if isinstance(part, Mapping)
    }
    title = "Quality of sampled cells"
    plot = quality_plot(series, "")
    if plot is None:
        text = "No cells were sampled: the data does not say when a cell fails quality control."
        return Section("quality", title, empty(text))
    thresholds = sorted(
        {key for part in series.values() for key in part}, key=lambda k: real(k) or 0
    )
    rows = [
        [label, *(share(part.get(key), 1) for key in thresholds)] for label, part in series.items()
    ]
    text = (
        f"{count(dig(summary, 'settings', 'quality_cells'))} cells are sampled for each "
        "perturbation as good cells. A cell passes where its quality metrics lie within the limits "
        "of the data: this many MADs (median absolute deviations) around the median."
    )
    header = ["share that passes", *(f"{name(key)} MADs" for key in thresholds)]
    beside = element("div", table("Quality control", header, rows))
    body = [paragraph(text), element("div", figure_of(plot), beside, class_="pair")]
    return Section("quality", title, joined(body), (plot,))


def method_section(summary: dict[str, Any]) -> Section:
    """Return settings, versions and the command that repeats the evaluation."""
    run = summary.get("run") or {}
    facts = [
        ("run", name(run.get("name"))),
        ("folder", _code(run.get("workdir"))),
        ("data", _code(dig(run, "options", "data_path") or dig(run, "data", "path"))),
        ("training seed", name(run.get("seed"))),
        ("trained on", name(run.get("device"))),
        ("versions", _versions(run.get("versions") or {})),
    ]
    settings = summary.get("settings") or {}
    changed = changed_settings(settings)
    told = [(_term(key, key in changed), _setting(value)) for key, value in settings.items()]
    known = [(term, fact) for term, fact in facts if fact != NOTHING]
    body = [
        definitions(known) if known else empty("Nothing is recorded of the run."),
        element("h3", "Settings of the evaluation") if told else None,
        definitions(told, columns=True) if told else None,
        paragraph("Bold: not the default.", class_="note") if told and changed else None,
        element("h3", "To repeat it"),
        element("pre", element("code", repeat_command(summary))),
        paragraph(
            "All randomness follows from the seeds: the same model and settings give the same "
            "report. docs/method.md has the equations, docs/evaluation.md describes every file.",
            class_="note",
        ),
    ]
    return Section("method", "How this was computed", joined(body), folded=True)


def _term(key: str, changed: bool) -> Markup | str:
    return element("strong", words(key)) if changed else words(key)


def _code(value: Any) -> Markup | str:
    return element("code", name(value)) if value else NOTHING


def _versions(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name(key)} {name(value)}" for key, value in versions.items()) or NOTHING


def _setting(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_setting(part) for part in value) or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return count(value)
    if isinstance(value, float):
        return count(value) if value == round(value) else f"{value:g}"
    return name(value)
