"""Whether the guides of a gene do the same: the effect of each beside that of the others.

A guide's cells are summed, gene by gene, and compared with what control cells of the same total
counts would have (docs/method.md 7). A guide is judged by its share of the others' effect: the
slope of its effect on theirs, over the genes that they change. Two halves of the control cells
serve the guide and the others, so that noise of the controls makes no agreement.

Measured on simulated screens without batches (tests/data/prepare/simulated_guides.py, with 2,000
genes, 500 controls, 3,000 counts a cell; 96 genes each): 3 guides per gene, two good and one dead;
a knock-down to 20 %, alone or with 20 other genes changed by half or twofold. In per cent:

    cells per guide                                         30     60    100    200
    20 genes change:   dead guides found ("no effect")     100    100    100    100
                       dead guides called "works"            0      0      0      0
                       good guides called "works"          >99    100    100    100
    target alone:      dead guides found                    48     62     72     86
                       dead guides called "works"            0      2      1      0
                       good guides called "works"           55     72     82     89
                       good guides called dead               0      0      0     <1

The rest is "unclear": half of the targets have less than half a count a cell. A third guide off
target is found in 89 % (30 cells) to 100 %; then 6 % (30 cells) to 1 % (200 cells) of the good
guides are said to disagree with it. With fewer controls than cells per guide, up to
8 % of the good guides disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.prepare.control_sums import (
    Reference,
    fold_change_of,
    fold_changes,
    group_sums,
    reference_of,
    scores,
)
from gpo_vae_jax.memory import DENSE_GIB, items_within, numbers_within

WORKS, NO_EFFECT, DISAGREES = "works", "no effect", "disagrees"
UNCLEAR, TOO_FEW = "unclear", "too few cells"
FEWEST_CELLS = 10  # of a guide, and of the controls
P_TARGET = 0.01  # the target's expression differs from the controls
FDR = 0.01  # at which genes count as changed by the guide itself
LEAST_CHANGE = 0.5  # |log2 fold change| of such a gene
FDR_OTHERS = 0.05  # at which genes count as changed by the other guides
FEWEST_OWN = 2  # changed genes of a guide that disagrees: one may be chance, or its off-target
LEAST_SHARE = 0.25  # of the others' effect, for a guide that works
HALF = 0.5  # of the others' effect: what a guide without effect certainly misses
Z_SHARE = 2.326  # one-sided p = 0.01: the guide has some of the others' effect
Z_BOUND = 2.0  # standard errors from the share to its upper bound
PRECISE = 0.4  # standard error of a log2 fold change at which a change by 1 is hardly missed
MOST_GENES = 50  # of the correlation: those that the other guides change most
FEWEST_GENES = 5  # of the correlation
_CHUNK_VALUES = numbers_within(DENSE_GIB, 8)


class Effect(NamedTuple):
    """The effect of one guide beside that of the other guides of its gene."""

    change: float  # log2 fold change of the target; nan if it is not measured
    error: float  # standard error of `change`
    p_target: float  # that the target does not change
    changed: int  # genes that the guide changes, the target included
    share: float  # of the others' effect; nan if they change nothing
    share_error: float
    agreement: float  # Pearson r with the others' effect


def compare_guides(
    counts: count_matrix.CountMatrix,
    genes: Sequence[str],
    guide: np.ndarray,
    target: np.ndarray,
    is_control: np.ndarray,
) -> list[dict[str, Any]]:
    """Compare each guide with the controls and with the other guides of its gene.

    The verdict on a guide, the first that holds:

    - "too few cells": fewer than 10 cells, or fewer than 10 control cells.
    - If the other guides change genes (FDR 5 %; their target: p < 0.01) enough for half of their
      effect to be seen at 2.3 standard errors: "works" where the guide has at least a quarter of
      it, significantly (p < 0.01); "disagrees" where it has significantly less than half of it but
      changes two genes or more, or has the opposite of it (a quarter or more); "no effect" where it
      has significantly less than half of it, and changes one gene at most. A changed gene: FDR 1 %
      and |log2 fold change| above 0.5.
    - "works": the target changes (p < 0.01), or another gene does.
    - "no effect": the target's change is known to within 0.4 (standard error of log2), so that a
      change by half would hardly have been missed, and the guide has at most half of the others'
      effect, if they have any.
    - "unclear" otherwise: too few counts to tell.

    Args:
      counts: [N, G] raw counts, dense or CSR.
      genes: G names.
      guide: [N] text, the guide of each cell; "": none.
      target: [N] text, the one gene that the cell's guide perturbs; "": controls, combinations.
      is_control: [N] bool.

    Returns:
      A row for each guide of each gene, sorted: gene, guide, cells, log2_fold_change of the target
      and its standard_error (nan if the target is not measured), p_value, genes_changed,
      agreement (Pearson r, over the 50 genes that the other guides change most), share (of the
      others' effect; both nan without other guides), others_work (how many of them), verdict.
    """
    guide, target = np.asarray(guide, dtype=str), np.asarray(target, dtype=str)
    is_control = np.asarray(is_control, dtype=bool)
    counts = count_matrix.by_rows(counts)
    told = np.flatnonzero((guide != "") & (target != "") & ~is_control)
    if not len(told):
        return []
    pairs, code = np.unique(np.stack([target[told], guide[told]]), axis=1, return_inverse=True)
    code = code.ravel()
    order = np.argsort(code, kind="stable")
    told, code = told[order], code[order]
    size = np.bincount(code, minlength=pairs.shape[1])
    reference = reference_of(counts, np.flatnonzero(is_control))
    column = count_matrix.gene_columns(pairs[0], genes)
    rows: list[dict[str, Any]] = []
    for group in _targets(pairs[0], size, counts.shape[1]):
        cells = slice(size[: group.start].sum(), size[: group.stop].sum())
        sums = group_sums(counts[told[cells]], code[cells] - group.start, group.stop - group.start)
        for own in _runs(pairs[0][group]):
            at = slice(group.start + own.start, group.start + own.stop)
            effects = effects_of(sums[own], size[at], reference, int(column[at.start]))
            rows += _rows(pairs[:, at], size[at], effects, int(is_control.sum()))
    return rows


def effects_of(
    sums: np.ndarray, size: np.ndarray, reference: Reference, target: int
) -> list[Effect]:
    """Return the effect of each of the D guides of a gene.

    Args:
      sums: [D, G] counts.
      size: [D] cells; guides of few cells are not among the others.
      reference: of the control cells.
      target: the column of the gene, -1 if it is not measured.
    """
    large = size >= FEWEST_CELLS
    library = sums.sum(axis=1)
    found = []
    for i, own in enumerate(sums):
        score = scores(own, library[i], reference, 0)
        p = 2 * ndtr(-np.abs(score))
        change, error, p_target = np.nan, np.nan, np.nan
        if target >= 0 and library[i] > 0:
            change, error = fold_change_of(target, own, library[i], reference)
            p_target = float(p[target])
        changed = _discoveries(p, FDR) & (
            np.abs(fold_changes(own, library[i], reference)) > LEAST_CHANGE
        )
        others = large & (np.arange(len(sums)) != i)
        compared = (np.nan, np.nan, np.nan)
        if others.any() and library[i] > 0 and library[others].sum() > 0:
            of_others = sums[others].sum(axis=0), library[others].sum()
            compared = _beside(own, library[i], *of_others, reference, target)
        found.append(Effect(change, error, p_target, int(changed.sum()), *compared))
    return found


def _beside(
    own: np.ndarray,
    library: float,
    others: np.ndarray,
    others_library: float,
    reference: Reference,
    target: int,
) -> tuple[float, float, float]:
    """Return the guide's share of the others' effect, its standard error, and the correlation."""
    of_others = scores(others, others_library, reference, 1)
    effect = scores(own, library, reference, 2)
    scale = library / others_library  # the others' effect, had they as many counts as the guide
    expected = scores(others * scale, library, reference, 1)
    p = 2 * ndtr(-np.abs(of_others))
    changed = _discoveries(p, FDR_OTHERS)
    if target >= 0:
        changed[target] |= p[target] < P_TARGET
    square = float((expected[changed] ** 2).sum())
    share = float(effect[changed] @ expected[changed]) / square if square else np.nan
    error = 1 / np.sqrt(square) if square else np.nan
    seen = np.flatnonzero(np.maximum(reference.total[0], others) > 0)
    top = seen[np.argsort(-np.abs(of_others[seen]), kind="stable")[:MOST_GENES]]
    return share, error, _correlation(effect[top], expected[top])


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Pearson r; nan for few values or constant ones."""
    if len(first) < FEWEST_GENES or not first.std() or not second.std():
        return np.nan
    return float(np.corrcoef(first, second)[0, 1])


def _discoveries(p: np.ndarray, rate: float) -> np.ndarray:
    """Return which p-values Benjamini and Hochberg call at a false discovery rate, bool."""
    from scipy.stats import false_discovery_control  # takes half a second to import

    return false_discovery_control(p) <= rate


def verdict_of(effect: Effect, cells: int, controls: int) -> str:
    """Return the verdict on a guide (`compare_guides` states the rules)."""
    if min(cells, controls) < FEWEST_CELLS:
        return TOO_FEW
    alone = effect.changed > 0 or effect.p_target < P_TARGET
    if Z_SHARE * effect.share_error < HALF:  # false for nan
        some = effect.share / effect.share_error
        if effect.share >= LEAST_SHARE and some > Z_SHARE:
            return WORKS
        if effect.share <= -LEAST_SHARE and some < -Z_SHARE:
            return DISAGREES
        if effect.share + Z_BOUND * effect.share_error < HALF:
            return DISAGREES if effect.changed >= FEWEST_OWN else NO_EFFECT
    if alone:
        return WORKS
    return NO_EFFECT if effect.error < PRECISE and not effect.share > HALF else UNCLEAR


def _rows(
    pairs: np.ndarray, size: np.ndarray, effects: Sequence[Effect], controls: int
) -> list[dict[str, Any]]:
    """Return the rows of the guides of one gene; `pairs` [2, D] are gene and guide."""
    verdicts = [verdict_of(e, n, controls) for e, n in zip(effects, size, strict=True)]
    return [
        {
            "gene": str(pairs[0, i]),
            "guide": str(pairs[1, i]),
            "cells": int(size[i]),
            "log2_fold_change": effect.change,
            "standard_error": effect.error,
            "p_value": effect.p_target,
            "genes_changed": effect.changed,
            "agreement": effect.agreement,
            "share": effect.share,
            "others_work": sum(v == WORKS for j, v in enumerate(verdicts) if j != i),
            "verdict": verdicts[i],
        }
        for i, effect in enumerate(effects)
    ]


def _runs(names: np.ndarray) -> Iterator[slice]:
    """Cut sorted names into slices of equal ones."""
    ends = np.flatnonzero(np.append(names[1:] != names[:-1], True)) + 1
    start = 0
    for end in ends:
        yield slice(start, int(end))
        start = int(end)


def _targets(names: np.ndarray, size: np.ndarray, n_genes: int) -> Iterator[slice]:
    """Cut the guides into slices of whole targets, of bounded numbers of cells and guides."""
    most = items_within(_CHUNK_VALUES, n_genes)
    start, cells = 0, 0
    for run in _runs(names):
        more = int(size[run].sum())
        if cells and cells + more > most:
            yield slice(start, run.start)
            start, cells = run.start, 0
        cells += more
    yield slice(start, len(names))
