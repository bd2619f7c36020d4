"""The screen's guides and kinds of control cells: which do nothing, disagree or stand out."""

from __future__ import annotations

import pandas as pd

from gpo_vae_jax.evaluate.report.drawing import figure_of
from gpo_vae_jax.evaluate.report.guide_plot import guide_plot
from gpo_vae_jax.evaluate.report.markup import Markup, element, joined, table
from gpo_vae_jax.evaluate.report.section import Section, paragraph
from gpo_vae_jax.evaluate.report.wording import count, listed, name, number, plural

_ROWS = 20
_LONGEST = 28  # letters of a name in a table
_NAMED = 4  # kinds of controls in a sentence
_ODD = ("no effect", "disagrees")


def screen_section(guides: pd.DataFrame, kinds: pd.DataFrame) -> Section | None:
    """Return the checks of the screen that preparation made; None where there are none.

    Args:
      guides: a row each, with the columns of `data.prepare.guide_agreement.compare_guides`.
      kinds: a row each, with the columns of `data.prepare.control_kinds.compare_controls`.
    """
    if not len(guides) and not len(kinds):
        return None
    plot = guide_plot(guides)
    body = [
        *([paragraph(element("strong", guides_said(guides)))] if len(guides) else []),
        figure_of(plot) if plot else None,
        _guides_table(guides),
        paragraph(element("strong", kinds_said(kinds))) if len(kinds) else None,
        _kinds_table(kinds) if len(kinds) else None,
    ]
    return Section("screen", "Guides and controls", joined(body), (plot,) if plot else ())


def guides_said(guides: pd.DataFrame) -> str:
    """Return a sentence on how many guides work, do nothing or disagree."""
    verdict, n = guides["verdict"], len(guides)
    idle = verdict == "no effect"
    dead = idle & (guides["others_work"] > 0)
    works = int((verdict == "works").sum())
    parts = [
        (dead, "does nothing although others of its gene work", "do nothing although others of "
         "their gene work"),
        (verdict == "disagrees", "disagrees with the others of its gene", "disagree with the "
         "others of their gene"),
        (idle & ~dead, "changes nothing, like the others of its gene", "change nothing, like the "
         "others of their gene"),
        (verdict.isin(("unclear", "too few cells")), "cannot be judged", "cannot be judged"),
    ]  # fmt: skip
    told = [f"{count(works)} of {plural(n, 'guide')} {'works' if works == 1 else 'work'}"]
    for which, one, many in parts:
        found = int(which.sum())
        told += [f"{count(found)} {one if found == 1 else many}"] if found else []
    return f"{'; '.join(told)}."


def kinds_said(kinds: pd.DataFrame) -> str:
    """Return a sentence on the kinds of control cells that stand out."""
    odd = [name(kind, _LONGEST) for kind in kinds.loc[kinds["verdict"] == "stands out", "kind"]]
    tested = int(kinds["verdict"].isin(("alike", "stands out", "no others")).sum())
    if not tested:
        return "No kind of control cells has enough cells to compare."
    if not odd:
        return f"All {plural(tested, 'kind')} of control cells that have enough cells are alike."
    more = [f"{count(len(odd) - _NAMED)} more"] if len(odd) > _NAMED else []
    verb = "differs" if len(odd) == 1 else "differ"
    named = listed([*odd[:_NAMED], *more])
    return f"Of {plural(tested, 'kind')} of control cells, {named} {verb} from the others."


def _guides_table(guides: pd.DataFrame) -> Markup | None:
    """Return the guides that do nothing or disagree; last those of genes without effect."""
    if not len(guides):
        return None
    odd = guides[guides["verdict"].isin(_ODD)]
    if not len(odd):
        return None
    alone = (odd["others_work"] == 0) & (odd["verdict"] == "no effect")
    odd = odd.assign(alone=alone).sort_values(["alone", "gene", "guide"], kind="stable")
    shown = odd.head(_ROWS)
    rows = [
        [
            name(row["guide"], _LONGEST),
            name(row["gene"], _LONGEST),
            count(row["cells"]),
            number(row["log2_fold_change"], 2, fixed=True),
            number(row["standard_error"], 2, fixed=True),
            number(row["share"], 2, fixed=True),
            number(row["agreement"], 2, fixed=True),
            count(row["others_work"]),
            name(row["verdict"]),
        ]
        for row in shown.to_dict("records")
    ]
    header = [
        *("guide", "gene", "cells", "target, log2 fold change", "standard error"),
        *("share of the others' effect", "r with the others", "others that work", "verdict"),
    ]
    note = (
        "Each guide's cells are compared with control cells, and its effect with that of the other "
        "guides of its gene together: the share of their effect that it has (1: as much, 0: none), "
        "over the genes that they change, and Pearson r over the 50 genes that they change most. "
        "A dash: the target is not measured, or the others change nothing. A guide that does "
        "nothing makes its gene's effect look weaker; consider leaving its cells out. guides.csv "
        "lists every guide."
    )
    title = "Guides that do nothing or disagree"
    if len(odd) > len(shown):
        title = f"{len(shown)} of {count(len(odd))} guides that do nothing or disagree"
    return table(title, header, rows, align="llrrrrrrl", note=note)


def _kinds_table(kinds: pd.DataFrame) -> Markup:
    """Return the kinds of control cells: those that stand out, then the largest."""
    first = kinds["verdict"] != "stands out"
    shown = kinds.assign(first=first).sort_values("first", kind="stable").head(_ROWS)
    rows = [
        [
            name(row["kind"], _LONGEST),
            count(row["cells"]),
            count(row["median_umi"]),
            count(row["median_genes"]),
            count(row["genes_changed"]),
            name(row["verdict"]),
        ]
        for row in shown.to_dict("records")
    ]
    header = ["kind", "cells", "median UMIs", "median genes", "genes that differ", "verdict"]
    note = (
        "Genes that differ from the other control cells: Wilcoxon, adjusted p below 0.05, and "
        "|log2 fold change| above 0.5. A kind that stands out is compared with, but no longer "
        "among, the others. To leave kinds out, name those to keep in --prepare.control and "
        "--prepare.more_controls, with --prepare.join_controls=False, and prepare again."
    )
    title = "Kinds of control cells"
    if len(kinds) > len(shown):
        title = f"{len(shown)} of {count(len(kinds))} kinds of control cells"
    return table(title, header, rows, align="lrrrrl", note=note)
