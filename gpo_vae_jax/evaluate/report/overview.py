"""The top of the report: the run in plain words, its verdict, and the headline numbers."""

from __future__ import annotations

import re
from typing import Any

from gpo_vae_jax.evaluate.report.markup import Markup, element, joined
from gpo_vae_jax.evaluate.report.section import Section, main_cells, main_transform, paragraph
from gpo_vae_jax.evaluate.report.verdict import WHERE, judge
from gpo_vae_jax.evaluate.report.wording import (
    NOTHING,
    count,
    dig,
    name,
    number,
    plural,
    ratio,
    real,
    share,
    times,
)
from gpo_vae_jax.evaluate.unseen_words import skill_in_words

_LATE = 3  # a best epoch this close to the last one: training stopped early
_PRESETS = ("anndata", "gpo_vae")  # names of settings for any data: no title for a page
_SIMULATED, _IN_MEMORY = "simulated", "in memory"  # instead of the path of a prepared file
CONFIRMED = (
    "the target's expression differs between perturbed and control test cells. Indirect effects "
    "count as well, so this is not the share of edges that are correct."
)


def title_of(summary: dict[str, Any]) -> str:
    """Return what the page is called: the run's name, or the data's where that says more."""
    given, file = dig(summary, "run", "name"), data_file(summary)
    if given and given not in _PRESETS:
        return name(given)
    if file or not given:
        return file or "Evaluation"
    simulated = dig(summary, "run", "data", "path") == _SIMULATED
    return "Simulated data" if simulated else "Data in memory"


def data_file(summary: dict[str, Any]) -> str:
    """Return the name of the prepared file without folders and .h5ad, or "" without a file."""
    path = dig(summary, "run", "data", "path")
    if not path or path in (_SIMULATED, _IN_MEMORY):
        return ""
    last = re.split(r"[\\/]", name(path))[-1]
    return last.removesuffix(".h5ad") or name(path)


def overview(summary: dict[str, Any]) -> Section:
    """Return what the run is and how well it does."""
    kind, verdict = judge(summary)
    effects = [
        element("h3", "Does it predict perturbation effects?"),
        paragraph(verdict, class_=f"verdict {kind}"),
        [paragraph(said) for said in skill_in_words(summary)],
    ]
    network = [
        element("h3", "What does the network say?"),
        [paragraph(text) for text in network_words(summary)],
    ]
    parts = [
        paragraph(describe_run(summary), class_="lead"),
        element("div", element("div", effects), element("div", network), class_="pair"),
        element("div", tiles(summary), class_="tiles"),
    ]
    return Section("overview", "At a glance", joined(parts))


def describe_run(summary: dict[str, Any]) -> str:
    """Return data and training in two or three sentences."""
    run, data = summary.get("run") or {}, dig(summary, "run", "data") or {}
    if not data:
        return "What this model was trained on is not recorded."
    cells, file = data.get("cells") or {}, data_file(summary)
    source = f" of {file}" if file else " of data in memory"
    if summary.get("truth") is not None or data.get("path") == _SIMULATED:
        source = f" of simulated data{f' ({file})' if file else ''}, whose network is known"
    extended = (real(data.get("n_treatments")) or 0) - (real(data.get("n_perturbed")) or 0)
    text = (
        f"GPO-VAE was trained on {count(cells.get('train'))} cells{source}, with "
        f"{count(cells.get('val'))} validation and {count(cells.get('test'))} test cells: "
        f"{plural(data.get('n_genes'), 'gene')}, "
        f"{plural(data.get('n_perturbed'), 'perturbed gene')}"
    )
    text += f" and {plural(extended, 'further gene')} in the network." if extended > 0 else "."
    epochs, best = real(run.get("epochs")), real(run.get("best_epoch"))
    if epochs and best is not None:
        loss = real(run.get("best_loss"))
        text += f" Of {plural(epochs, 'epoch')}, epoch {count(best)} (counting from 0) had the "
        text += "lowest validation loss"
        text += f", {number(loss, 2)}." if loss is not None else "."
        if epochs > 1 and best >= epochs - _LATE:
            text += (
                " That is one of the last: the loss was still falling, so longer training may help."
            )
    return text


def network_words(summary: dict[str, Any]) -> list[str]:
    """Return what is known of the network: its size, its confirmation and its correctness."""
    network = summary.get("network") or {}
    threshold = number(dig(summary, "settings", "threshold"), 2).rstrip("0")
    edges, block = real(network.get("n_edges")), real(network.get("n_edges_block"))
    if edges is None:
        return ["The network was not evaluated."]
    text = f"Size: {plural(edges, 'edge')} with a probability above {threshold}"
    if not edges:
        text += ": no pair of different genes passes, so there is nothing to confirm."
    else:
        text += f", {count(block)} of them between perturbed genes" if block is not None else ""
        text += ". Edges of a gene to itself are not counted."
    parts = [text, _confirmed(network) if edges else "", _known(summary), _truth(summary)]
    return [part for part in parts if part]


def _confirmed(network: dict[str, Any]) -> str:
    found = dig(network, "all", "edges") or {}
    confirmed = ratio(found.get("true_positives"), found.get("n_evaluable"))
    if confirmed is None:
        return "Confirmation: test cells can judge none of the edges."
    text = (
        f"Confirmation: {count(found.get('true_positives'))} of the "
        f"{plural(found.get('n_evaluable'), 'edge')} that test cells can judge are confirmed "
        f"({share(confirmed)}): {CONFIRMED}"
    )
    omitted = real(dig(network, "all", "false_omission_rate"))
    if omitted is not None:
        text += f" Of pairs without a path in the network, {share(omitted)} differ too."
    return text


def _known(summary: dict[str, Any]) -> str:
    known = summary.get("known_networks") or {}
    union = known.get("union") or next(iter(known.values()), None)
    precision = real(dig(union, "precision"))
    if precision is None:
        return ""
    text = f"Known networks: {share(precision)} of the edges between perturbed genes are known"
    random = real(dig(union, "random_precision"))
    if not random:
        return f"{text}."
    return f"{text}, {times(precision / random)} the share of random pairs ({share(random)})."


def _truth(summary: dict[str, Any]) -> str:
    truth = summary.get("truth")
    precision, auprc = real(dig(truth, "mask", "precision")), real(dig(truth, "auprc"))
    parts = []
    if precision is not None:
        parts.append(f"{share(precision)} of the edges are correct (precision)")
        parts.append(f"{share(dig(truth, 'mask', 'recall'))} of the true edges are found (recall)")
    if auprc is not None:
        factor = ratio(auprc, dig(truth, "random_auprc"))
        beside = f", {times(factor)} that of a random ranking" if factor is not None else ""
        parts.append(f"the ranking of all pairs has an AUPRC of {number(auprc, 2)}{beside}")
    return f"True network: {'; '.join(parts)}." if parts else ""


def tiles(summary: dict[str, Any]) -> list[Markup]:
    """Return the headline numbers that there are."""
    cells = main_cells(summary)
    found = dig(summary, "effects", main_transform(summary), cells) or {}
    network, truth = summary.get("network") or {}, summary.get("truth")
    edges = dig(network, "all", "edges") or {}
    iwelbo = summary.get("predictive_iwelbo") or {}
    union = dig(summary, "known_networks", "union") or {}
    passed = dig(summary, "quality", "observed") or dig(summary, "quality", "reference") or {}
    error = real(iwelbo.get("standard_error"))
    auprc, by_chance = (number(dig(truth, key), 2) for key in ("auprc", "random_auprc"))
    precision = dig(truth, "mask", "precision")
    wanted = [
        (
            f"Effects: Pearson r {WHERE[cells].partition(',')[0]}",
            number(dig(found, "model", "pearson"), 2),
            f"training mean {number(dig(found, 'train_mean', 'pearson'), 2)}, global mean "
            f"{number(dig(found, 'global_mean', 'pearson'), 2)}",
        ),
        (
            "Predictive IWELBO",
            number(iwelbo.get("mean"), 1),
            f"nats per test cell, ± {number(error, 1)} (standard error)"
            if error is not None
            else "nats per test cell",
        ),
        (
            "Sampled cells that pass quality control",
            share(passed.get("3")),
            "at 3 MADs",
        ),
        (
            "Edges of the network",
            count(network.get("n_edges")),
            f"{count(network.get('n_edges_block'))} between perturbed genes",
        ),
        (
            "Edges whose target differs in test cells",
            share(ratio(edges.get("true_positives"), edges.get("n_evaluable"))),
            f"of {count(edges.get('n_evaluable'))} testable; indirect effects included",
        ),
        (
            "Precision against known networks",
            share(union.get("precision")),
            f"random pairs {share(union.get('random_precision'))}",
        ),
        (
            "Precision against the true network",
            share(precision),
            f"recall {share(dig(truth, 'mask', 'recall'))}; AUPRC {auprc}, random {by_chance}",
        ),
        (
            "AUPRC against the true network",
            auprc if real(precision) is None else NOTHING,
            f"random ranking {by_chance}",
        ),
    ]
    return [_tile(*tile) for tile in wanted if tile[1] != NOTHING]


def _tile(label: str, value: str, detail: str) -> Markup:
    return element(
        "div",
        paragraph(label, class_="label"),
        paragraph(value, class_="value"),
        paragraph(detail, class_="detail") if detail else None,
        class_="tile",
    )
