"""The plot of guides: the change of each guide's target, gene by gene."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gpo_vae_jax.evaluate.report.drawing import Panel, Plot
from gpo_vae_jax.evaluate.report.look import COLOURS, GUIDE_VERDICTS, INK, MUTED
from gpo_vae_jax.evaluate.report.wording import count, name, number

_MOST_GENES = 42  # drawn; of more genes, those with a guide that does nothing or disagrees
_PER_PANEL = 14
_WIDTH, _ROW = 360, 22
_ODD = ("no effect", "disagrees")


def guide_plot(guides: pd.DataFrame) -> Plot | None:
    """Draw the log2 fold change of each guide's target, a row for each gene; None without any."""
    if not len(guides):
        return None
    seen = guides[np.isfinite(guides["log2_fold_change"].astype(float))]
    chosen = chosen_genes(seen)
    if not chosen:
        return None
    columns = [chosen[i : i + _PER_PANEL] for i in range(0, len(chosen), _PER_PANEL)]
    drawn = seen[seen["gene"].isin(chosen)]
    change, error = (drawn[key].astype(float) for key in ("log2_fold_change", "standard_error"))
    ends = min((change - error).min(), 0.0), max((change + error).max(), 0.0)
    margin = 0.06 * (ends[1] - ends[0] or 1.0)
    limits = ends[0] - margin, ends[1] + margin
    panels = tuple(_panel(drawn, genes, limits) for genes in columns)
    n_genes, n_seen = len(chosen), seen["gene"].nunique()
    caption = (
        "The change of each guide's target against control cells, with its standard error; 0: not "
        "changed. A knock-out need not change it."
    )
    if n_genes < n_seen:
        caption += (
            f" {count(n_genes)} of {count(n_seen)} genes: those with a guide that does nothing "
            "although others of its gene work, or that disagrees, come first."
        )
    if len(seen) < len(guides):
        caption += f" Not drawn: {count(len(guides) - len(seen))} guides of unmeasured targets."
    kinds = {_kind(verdict) for verdict in drawn["verdict"]}
    marks = tuple(mark for kind, mark in GUIDE_VERDICTS.items() if kind in kinds)
    return Plot("guides", panels, caption, marks, 3)


def chosen_genes(guides: pd.DataFrame) -> list[str]:
    """Return the genes to draw, in alphabetical order.

    All of them if they are few. Otherwise those with a guide that disagrees, or that does nothing
    although others of its gene work, then those with other guides that do nothing.
    """
    genes = sorted(set(guides["gene"]))
    if len(genes) <= _MOST_GENES:
        return genes
    odd = guides["verdict"].isin(_ODD)
    alone = guides["verdict"].eq("no effect") & guides["others_work"].eq(0)
    first = sorted(set(guides.loc[odd & ~alone, "gene"]))
    later = sorted(set(guides.loc[odd & alone, "gene"]) - set(first))
    return sorted([*first, *later][:_MOST_GENES])


def _kind(verdict: object) -> str:
    return str(verdict) if verdict in GUIDE_VERDICTS else "unclear"


def _panel(guides: pd.DataFrame, genes: list[str], limits: tuple[float, float]) -> Panel:
    rows = guides[guides["gene"].isin(genes)].to_dict("records")
    told = "; ".join(
        f"{name(row['guide'], 30)} {number(row['log2_fold_change'], 2)}, {name(row['verdict'])}"
        for row in [row for row in rows if row["verdict"] in _ODD][:12]
    )
    alt = f"Log2 fold change of the targets of {count(len(rows))} guides of {len(genes)} genes"
    draw = partial(_draw, rows=rows, genes=genes, limits=limits)
    return Panel(draw, f"{alt}. {told or 'All change it alike'}", _WIDTH, 62 + _ROW * len(genes))


def _draw(axes: Axes, rows: list[dict], genes: list[str], limits: tuple[float, float]) -> None:
    axes.set(xlim=limits, ylim=(len(genes) - 0.4, -0.6))
    axes.set_yticks(range(len(genes)), [name(gene, 16) for gene in genes])
    axes.tick_params(axis="y", labelcolor=INK, pad=6)
    axes.locator_params(axis="x", nbins=6)
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=0.6)
    axes.set_xlabel("log2 fold change of the target")
    for y, gene in enumerate(genes):
        own = [row for row in rows if row["gene"] == gene]
        places = y + np.linspace(-0.22, 0.22, len(own)) if len(own) > 1 else [y]
        for place, row in zip(places, own, strict=True):
            mark = GUIDE_VERDICTS[_kind(row["verdict"])]
            x, error = float(row["log2_fold_change"]), float(row["standard_error"])
            if np.isfinite(error):
                axes.plot([x - error, x + error], [place] * 2, color=COLOURS[mark.colour],
                          linewidth=1, alpha=0.5, zorder=2)  # fmt: skip
            axes.plot([x], [place], zorder=3, **mark.style(5))
