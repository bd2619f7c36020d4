"""The stage that looks at a screen's guides and kinds of controls, and says what is odd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.prepare.control_kinds import STANDS_OUT, compare_controls
from gpo_vae_jax.data.prepare.guide_agreement import (
    DISAGREES,
    NO_EFFECT,
    TOO_FEW,
    compare_guides,
)
from gpo_vae_jax.data.prepare.raw.unlabelled import UNKNOWN
from gpo_vae_jax.data.prepare.stage_log import Log
from gpo_vae_jax.data.prepared.screen_rows import rows_text
from gpo_vae_jax.errors import listed

_NAMED = 6  # guides or kinds in a note
Rows = Sequence[Mapping[str, Any]]


def check_screen(
    counts: count_matrix.CountMatrix,
    genes: Sequence[str],
    guide: np.ndarray | None,
    target: np.ndarray,
    is_control: np.ndarray,
    log: Log,
) -> dict[str, str]:
    """Compare guides and kinds of controls, note what is odd, and return entries of the record.

    Args:
      counts: [N, G] raw counts.
      genes: G names.
      guide: [N] text, the guide of each cell, for controls their kind; "": not known.
        None: no cell's guide is known.
      target: [N] text, the one perturbed gene of the cell; "": controls and combinations.
      is_control: [N] bool.
      log: gets the stage and the notes; neither if there is nothing to compare.

    Returns:
      "guides" and "control_kinds", JSON text each; left out where there is nothing to compare.
    """
    if guide is None:
        return {}
    guide = np.asarray(guide, dtype=str)
    target = np.where(np.asarray(target, dtype=str) == UNKNOWN, "", target)
    controls = np.flatnonzero(is_control & (guide != ""))
    of_genes = guide[~is_control & (guide != "") & (target != "")]
    if not len(of_genes) and len(np.unique(guide[controls])) < 2:
        return {}
    log.start("guides and controls")
    kinds = compare_controls(counts[controls], genes, guide[controls])
    odd = [row["kind"] for row in kinds if row["verdict"] == STANDS_OUT]
    alike = is_control & ~np.isin(guide, odd)  # what guides are compared with
    guides = compare_guides(counts, genes, guide, target, alike)
    for sentence in (*guide_notes(guides), *control_notes(kinds)):
        log.note(sentence)
    verdicts = [str(row["verdict"]).replace(" ", "_") for row in guides]
    found = {name: verdicts.count(name) for name in sorted(set(verdicts))}
    log.done(guides=len(guides), **found, control_kinds=len(kinds))
    entries = {"guides": guides, "control_kinds": kinds}
    return {name: rows_text(rows) for name, rows in entries.items() if rows}


def guide_notes(guides: Rows) -> list[str]:
    """Return a sentence each on guides that do nothing, that disagree, and on idle genes."""
    judged = [row for row in guides if row["verdict"] != TOO_FEW]
    idle = [row for row in judged if row["verdict"] == NO_EFFECT]
    dead = [str(row["guide"]) for row in idle if row["others_work"]]
    odd = [str(row["guide"]) for row in judged if row["verdict"] == DISAGREES]
    alone = sorted({str(row["gene"]) for row in idle if not row["others_work"]})
    of_all = f"of {len(judged):,} guides"
    parts = [
        (dead, f"{len(dead):,} {of_all} {_do(dead)} nothing, though others of their gene work"),
        (odd, f"{len(odd):,} {of_all} {_do(odd)} something else than the others of their gene"),
        (alone, f"no guide of {len(alone):,} {_gene(alone)} changes the expression of any gene"),
    ]
    return [f"{text}: {listed(names, _NAMED)}" for names, text in parts if names]


def control_notes(kinds: Rows) -> list[str]:
    """Return a sentence on the kinds of controls that stand out, and how to leave them out."""
    odd = [row for row in kinds if row["verdict"] == STANDS_OUT]
    if not odd:
        return []
    names = listed((f"{r['kind']} ({r['genes_changed']} genes)" for r in odd), _NAMED)
    return [
        f"{len(odd)} of {len(kinds)} kinds of control cells differ from the others: {names}; to "
        "leave them out, name the others in config.prepare.control and config.prepare."
        "more_controls, with config.prepare.join_controls=False"
    ]


def _gene(names: Sequence[str]) -> str:
    return "gene" if len(names) == 1 else "genes"


def _do(names: Sequence[str]) -> str:
    return "does" if len(names) == 1 else "do"
