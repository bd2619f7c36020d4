"""The top of the report: the run in plain words, its verdict, and the headline numbers."""

from __future__ import annotations

from typing import Any

from gpo_vae_jax.evaluate.report.markup import Markup, element, joined
from gpo_vae_jax.evaluate.report.section import Section, main_cells, main_transform, paragraph
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

WHERE = {"held_out": "on test cells", "reference": "on all cells, training cells included"}
_EVEN = 0.005  # correlations closer than this are called equal


def overview(summary: dict[str, Any]) -> Section:
    """Say what the run is and how well it does."""
    kind, verdict = judge(summary)
    parts = [
        paragraph(what_it_is(summary), class_="lead"),
        paragraph(verdict, class_=f"verdict {kind}"),
        paragraph(network_words(summary)),
        element("div", tiles(summary), class_="tiles"),
    ]
    return Section("overview", "At a glance", joined(parts))


def what_it_is(summary: dict[str, Any]) -> str:
    """Tell data and training in two or three sentences."""
    run, data = summary.get("run") or {}, dig(summary, "run", "data") or {}
    cells = data.get("cells") or {}
    path, simulated = data.get("path"), summary.get("truth") is not None
    source = f"the cells of {name(path).rpartition('/')[2]}" if path else "cells prepared in memory"
    if simulated:
        source = "simulated cells whose network is known" + (f" ({name(path)})" if path else "")
    extended = (real(data.get("n_treatments")) or 0) - (real(data.get("n_perturbed")) or 0)
    if not data:
        return "What this run was trained on is not recorded."
    text = (
        f"GPO-VAE was trained on {source}: {count(cells.get('train'))} cells to learn from, "
        f"{count(cells.get('val'))} to stop by and {count(cells.get('test'))} to test on; "
        f"{plural(data.get('n_genes'), 'gene')}, "
        f"{plural(data.get('n_perturbed'), 'perturbed gene')}"
    )
    text += f" and {plural(extended, 'further gene')} of the network." if extended > 0 else "."
    epochs, best = real(run.get("epochs")), real(run.get("best_epoch"))
    if epochs is not None and best is not None:
        loss = real(run.get("best_loss"))
        text += f" Of {plural(epochs, 'epoch')}, epoch {count(best)} (the first is 0) was the best"
        text += f", with a validation loss of {number(loss, 2)}." if loss is not None else "."
        if epochs > 1 and best >= epochs - 1:
            text += " It is the last one: the loss was still falling, and longer training may help."
    return text


def judge(summary: dict[str, Any]) -> tuple[str, Markup]:
    """Compare the model with the mean of each perturbation's training cells, plainly.

    Returns:
      "below", "above", "even" or "unknown", and the sentences.
    """
    cells = main_cells(summary)
    found = dig(summary, "effects", main_transform(summary), cells) or {}
    model = real(dig(found, "model", "pearson"))
    baseline = real(dig(found, "train_mean", "pearson"))
    if model is None:
        text = "How well effects are predicted is not known: no correlation could be computed."
        return "unknown", joined([element("strong", "No verdict. "), text])
    said = f"Predicted effects correlate with the observed ones at r = {number(model, 2)} "
    said += f"{WHERE[cells]}, over all pairs of perturbation and gene. "
    if baseline is None:
        kind, strong, rest = "unknown", "No baseline to compare with. ", ""
    else:
        kind = _compare(model, baseline)
        strong = {
            "below": "Below the baseline. ",
            "above": "Above the baseline. ",
            "even": "Level with the baseline. ",
        }[kind]
        easy = f"the mean of a perturbation's own training cells, gets {number(baseline, 2)}"
        rest = {
            "below": f"The simplest prediction, {easy}: for the perturbations seen in training, "
            "that mean predicts better than this model. ",
            "above": f"The simplest prediction, {easy}: the model adds to it. ",
            "even": f"The simplest prediction, {easy}: the model neither adds nor loses. ",
        }[kind]
    above = real(dig(found, "global_mean", "pearson"))
    if above is not None:
        rest += f"One mean for all perturbations gets {number(above, 2)}. "
        if model < above - _EVEN:
            rest += "The model is below that too, so it hardly tells perturbations apart. "
    ceiling = real(dig(found, "ceiling", "pearson"))
    if ceiling is not None:
        rest += "Cells are noisy: one half of the training cells predicts the other half at "
        rest += f"{number(ceiling, 2)}."
    return kind, joined([element("strong", strong), said, rest.strip()])


def _compare(model: float, baseline: float) -> str:
    if abs(model - baseline) < _EVEN:
        return "even"
    return "below" if model < baseline else "above"


def network_words(summary: dict[str, Any]) -> str:
    """Tell size of the network and how much of it is confirmed."""
    network = summary.get("network") or {}
    threshold = number(dig(summary, "settings", "threshold"), 2).rstrip("0")
    edges, block = real(network.get("n_edges")), real(network.get("n_edges_block"))
    if edges is None:
        return "The network was not evaluated."
    text = f"The network has {plural(edges, 'edge')} with a probability above {threshold}"
    if not edges:
        return (
            text + ": no probability passes, so there is nothing to confirm. " + _outside(summary)
        )
    text += f", {count(block)} of them between perturbed genes. " if block is not None else ". "
    found = dig(network, "all", "edges") or {}
    confirmed = ratio(found.get("true_positives"), found.get("n_evaluable"))
    if confirmed is not None:
        text += (
            f"Of {plural(found.get('n_evaluable'), 'edge')} that test cells can judge, "
            f"{share(confirmed)} are confirmed: the target differs between perturbed and control "
            "cells. "
        )
        omitted = real(dig(network, "all", "false_omission_rate"))
        if omitted is not None:
            text += f"Among pairs without a path in the network, {share(omitted)} differ as well. "
    else:
        text += "None of them can be judged on test cells. "
    return text + _outside(summary)


def _outside(summary: dict[str, Any]) -> str:
    known, text = summary.get("known_networks") or {}, ""
    union = known.get("union") or next(iter(known.values()), None)
    factor = ratio(dig(union, "precision"), dig(union, "random_precision"))
    if factor is not None:
        text += f"Agreement with known networks: {times(factor)} that of random pairs. "
    truth = summary.get("truth")
    factor = ratio(dig(truth, "auprc"), dig(truth, "random_auprc"))
    if factor is not None:
        text += (
            f"Against the true network the ranking of edges reaches an AUPRC of "
            f"{number(truth['auprc'], 2)}, {times(factor)} that of a random ranking."
        )
    return text.strip()


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
    wanted = [
        (
            f"Effects: Pearson r {WHERE[cells].partition(',')[0]}",
            number(dig(found, "model", "pearson"), 2),
            f"training mean {number(dig(found, 'train_mean', 'pearson'), 2)}, ceiling "
            f"{number(dig(found, 'ceiling', 'pearson'), 2)}",
        ),
        (
            "Predictive IWELBO of a test cell",
            number(iwelbo.get("mean"), 1),
            f"± {number(error, 1)} (standard error)" if error is not None else "",
        ),
        (
            "Edges of the network",
            count(network.get("n_edges")),
            f"{count(network.get('n_edges_block'))} between perturbed genes",
        ),
        (
            "Edges confirmed on test cells",
            share(ratio(edges.get("true_positives"), edges.get("n_evaluable"))),
            f"of {count(edges.get('n_evaluable'))} that can be judged",
        ),
        (
            "Precision against known networks",
            share(union.get("precision")),
            f"random pairs {share(union.get('random_precision'))}",
        ),
        (
            "AUPRC against the true network",
            number(dig(truth, "auprc"), 2),
            f"random ranking {number(dig(truth, 'random_auprc'), 2)}",
        ),
        (
            "Drawn cells that pass quality control",
            share(passed.get("3")),
            "at 3 MADs",
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
