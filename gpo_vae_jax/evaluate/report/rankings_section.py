"""The network beside rankings of pairs that need no model, and what its probabilities depend on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpo_vae_jax.evaluate.effect_sources import WARN_ABOVE
from gpo_vae_jax.evaluate.metrics import best_of, metric
from gpo_vae_jax.evaluate.network.baseline_rankings import RANKINGS
from gpo_vae_jax.evaluate.report.markup import Markup, element, joined, table
from gpo_vae_jax.evaluate.report.section import Section, paragraph
from gpo_vae_jax.evaluate.report.wording import NOTHING, count, dig, listed, number, real, share

_COLUMNS = {
    "targets that differ": "true_positive_share",
    "mean distance": "mean_wasserstein",
    "omitted pairs that differ": "omitted_share",
    "AUPRC, truth": "truth_auprc",
    "AUPRC, known networks": "known_auprc",
}
_JUDGES = ("truth_auprc", "known_auprc", "true_positive_share")  # the first that is known judges
_LEVEL = 0.01
_NAMES = {"model": "the network", **RANKINGS}


def rankings_section(summary: dict[str, Any]) -> Section | None:
    """Return how the network ranks pairs beside the baselines; None where nothing was ranked."""
    rankings = summary.get("rankings") or {}
    if "model" not in rankings:
        return None
    columns = {
        title: key
        for title, key in _COLUMNS.items()
        if any(real(dig(found, key)) is not None for found in rankings.values())
    }
    best = {
        key: best_of(metric(key), {who: real(dig(of, key)) for who, of in rankings.items()})
        for key in columns.values()
    }
    rows = [
        [_NAMES.get(who, who), *(_value(found, key, who in best[key]) for key in columns.values())]
        for who, found in rankings.items()
    ]
    n_edges = count(dig(rankings, "model", "n_edges"))
    body = [
        paragraph(element("strong", f"{said(rankings)} ")) if said(rankings) else None,
        paragraph(
            f"The {n_edges} highest ranked testable pairs of each ranking on test cells, and all "
            "pairs against the truth or known networks. The baselines use training cells only: "
            "the change of a gene under a perturbation, that change over its standard error, and "
            "the direct effects that explain all changes linearly (ridge deconvolution)."
        ),
        warning(summary),
        table("Rankings of pairs", ["ranked by", *columns], rows, note="Bold: the best."),
    ]
    return Section("rankings", "The network against simple rankings", joined(body), ())


def said(rankings: Mapping[str, Any]) -> str:
    """Return in words which rankings the network beats, by the strictest judge that is known."""
    for judge in _JUDGES:
        scores = {who: real(dig(found, judge)) for who, found in rankings.items()}
        known = {who: score for who, score in scores.items() if score is not None}
        if "model" in known and len(known) > 1:
            break
    else:
        return ""
    ours = known.pop("model")
    better = [_NAMES.get(who, who) for who, score in known.items() if ours > score + _LEVEL]
    worse = [_NAMES.get(who, who) for who, score in known.items() if score > ours + _LEVEL]
    level = [_NAMES.get(who, who) for who in known if _NAMES.get(who, who) not in better + worse]
    parts = [
        f"{text} {listed(names)}"
        for text, names in (("beats", better), ("is level with", level), ("loses to", worse))
        if names
    ]
    return f"By {metric(judge).label}, the network {listed(parts)}."


def warning(summary: Mapping[str, Any]) -> Markup | None:
    """Return a warning where one end of an edge alone explains its probability."""
    shares = dig(summary, "network", "explained") or {}
    texts = {
        "target": "every regulator points at the same genes",
        "source": "each regulator points at all genes alike",
    }
    high = {end: real(shares.get(end)) for end in texts}
    high = {end: value for end, value in high.items() if value is not None and value > WARN_ABOVE}
    if not high:
        return None
    end, value = max(high.items(), key=lambda item: item[1])
    return paragraph(
        element("strong", "Warning. "),
        f"The {end} alone explains {share(value)} of the variance of edge probabilities: "
        f"{texts[end]}. The network then says little about who regulates whom.",
        class_="note",
    )


def _value(found: Mapping[str, Any], key: str, best: bool) -> object:
    text = number(dig(found, key))
    return element("span", text, class_="best") if best and text != NOTHING else text
