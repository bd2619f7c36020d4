"""The cells to keep: strong perturbations, knocked down, measured, with enough cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.prepare.knockdown import knocked_down, low_limits, own_expression
from gpo_vae_jax.data.prepare.raw.gene_lookup import GeneLookup
from gpo_vae_jax.data.prepare.raw.perturbed_genes import Perturbations
from gpo_vae_jax.data.prepare.raw.raw_checks import Raw
from gpo_vae_jax.data.prepare.stage_log import Log
from gpo_vae_jax.errors import DataError, listed

_FEWEST_CELLS = 3  # that perturb a gene, to be in training, validation and test


class Loaded(NamedTuple):
    """The cells that were read, sorted by name."""

    rows: np.ndarray  # [N] their rows in the input
    counts: count_matrix.CountMatrix  # [N, G] in memory, narrow
    keep: np.ndarray  # [N] bool: the cells that passed every filter


def select(raw: Raw, config: PrepareConfig, log: Log) -> Loaded:
    """Read the counts and choose the cells, stage by stage (docs/data.md).

    All cells are read if Scrublet needs them unfiltered, else only those of strong perturbations.
    Published files were filtered upstream: of those, only cells of unmeasured genes are dropped.

    Raises:
      DataError: no perturbed gene is measured, or the filters leave none.
    """
    cells, genes = raw.cells, raw.genes
    rows = np.argsort(np.asarray(raw.obs.index, dtype=str), kind="stable")
    keep = np.ones(len(rows), bool)

    def filtered(by: np.ndarray, why: str = "", **did: object) -> np.ndarray:
        before, after = rows[keep], rows[keep & by]
        if len(after) < len(before):
            lost = why or listed(_by_size(cells, rows[keep & ~by]), 5)
            log.dropped(by[keep], f"{log.stage}: {lost}")
        log.done(**_change(cells, before, after), **did)
        return keep & by

    labelled = cells.labelled[rows]
    words = sorted({str(text) for text in raw.text[rows[~labelled]]})
    unknown = [word or "no label" for word in words]
    keep = filtered(
        labelled,
        f"their perturbation is not known ({listed(unknown, 5)}); "
        "config.prepare.unlabelled=keep keeps them",
        genes=len(genes),
    )
    if raw.strong is not None:
        log.start("strong perturbations")
        keep = filtered(
            of_strong(cells, rows, raw.strong),
            in_table=len(raw.strong),
            more_genes_than=config.strong_min_degs,
            change_at_most=config.strong_max_knockdown,
            more_cells_than=config.strong_min_cells,
        )
    log.start("reading the counts")
    if config.scrublet == "off" or raw.recorded:
        rows, keep = rows[keep], np.ones(keep.sum(), bool)
    counts = raw.counts.read(rows)
    if config.knockdown and not raw.recorded:
        log.start("knock-down")
        percentile = config.knockdown_percentile
        low = with_low_target(cells, rows, counts, genes, percentile)
        keep = filtered(low, percentile=percentile)
    log.start("measured genes")
    measured, missing = of_measured(cells, rows, genes)
    usable = measured if config.unmeasured == "drop" else np.ones_like(measured)
    missing = sorted(set(missing) & _perturbed(cells, rows[keep]))
    _note_missing(raw, missing, int((keep & ~measured).sum()), config, log)
    keep = filtered(
        usable,
        f"{len(missing)} perturbed genes are not measured, such as {listed(missing, 3)}; "
        "config.prepare.unmeasured=keep keeps them",
        unmeasured=config.unmeasured,
        not_measured=missing,
    )
    if config.min_cells and not raw.recorded:
        log.start("minimum cells")
        enough = of_large(cells, rows, keep, config.min_cells)
        keep = filtered(enough, more_cells_than=config.min_cells)
    elif config.min_cells is None and not raw.recorded:
        enough, rare = of_common(cells, rows, keep)
        if rare:
            log.start("minimum cells")
            why = f"fewer than {_FEWEST_CELLS} cells perturb {listed(rare, 5)}"
            keep = filtered(enough, why, genes_with_at_least=_FEWEST_CELLS)
    _check_left(raw, rows[keep], missing, config, log)
    return Loaded(rows, counts, keep)


def of_strong(cells: Perturbations, rows: np.ndarray, strong: Collection[str]) -> np.ndarray:
    """Return which cells are controls or perturb only strong genes, under any name, [N] bool."""
    strong = set(strong)
    usable = [all(strong & cells.names[gene] for gene in group) for group in cells.genes]
    return np.array(usable)[cells.code[rows]]


def with_low_target(
    cells: Perturbations,
    rows: np.ndarray,
    counts: count_matrix.CountMatrix,
    genes: list[str],
    percentile: float,
) -> np.ndarray:
    """Return which cells have every measured target at or below a percentile of the controls, [N].

    Args:
      cells: the perturbations of the input.
      rows: [N] rows of the input.
      counts: [N, G] of those rows.
      genes: G names.
      percentile: of the counts in control cells.
    """
    targets = sorted({gene for group in cells.genes for gene in group} & set(genes))
    if not targets:
        return np.ones(len(rows), bool)
    column = count_matrix.gene_columns(targets, genes)
    limit = low_limits(counts[np.flatnonzero(cells.is_control[rows])][:, column], percentile)
    of_perturbation = np.full((len(cells.genes), max(map(len, cells.genes))), -1)
    for i, group in enumerate(cells.genes):
        of_perturbation[i, : len(group)] = count_matrix.gene_columns(group, targets)
    target = of_perturbation[cells.code[rows]]
    own = own_expression(counts, np.where(target >= 0, column[target], -1))
    return knocked_down(own, np.where(target >= 0, limit[target], np.nan))


def of_measured(
    cells: Perturbations, rows: np.ndarray, genes: Collection[str]
) -> tuple[np.ndarray, list[str]]:
    """Return which cells have all perturbed genes measured, [N], and the genes that are not."""
    measured = set(genes)
    usable = np.array([measured.issuperset(group) for group in cells.genes])
    return usable[cells.code[rows]], sorted(_perturbed(cells, rows) - measured)


def of_large(
    cells: Perturbations, rows: np.ndarray, keep: np.ndarray, min_cells: int
) -> np.ndarray:
    """Return which cells are controls or have a perturbation with over `min_cells` kept cells."""
    enough = np.bincount(cells.code[rows[keep]], minlength=len(cells.genes)) > min_cells
    enough |= np.array([not group for group in cells.genes])
    return enough[cells.code[rows]]


def of_common(
    cells: Perturbations, rows: np.ndarray, keep: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Return which cells perturb only genes that are perturbed in three kept cells or more, [N].

    Also the other genes, sorted.
    """
    code = cells.code[rows]
    size = np.bincount(code[keep], minlength=len(cells.genes))
    rare: set[str] = set()
    while True:
        cells_of: Counter[str] = Counter()
        for group, n in zip(cells.genes, size, strict=True):
            if n and not rare.intersection(group):
                cells_of.update(dict.fromkeys(group, int(n)))
        more = {gene for gene, n in cells_of.items() if n < _FEWEST_CELLS}
        if not more:
            break
        rare |= more
    usable = np.array([not rare.intersection(group) for group in cells.genes])
    return usable[code], sorted(rare)


def _by_size(cells: Perturbations, rows: np.ndarray) -> list[str]:
    """Return the perturbations of some cells as text, with their numbers of cells."""
    code, size = np.unique(cells.code[rows], return_counts=True)
    names = ["+".join(cells.genes[c]) or "control" for c in code]
    return [f"{name} ({n})" for name, n in zip(names, size, strict=True)]


def _note_missing(
    raw: Raw, missing: list[str], n_cells: int, config: PrepareConfig, log: Log
) -> None:
    """Note the perturbed genes that are not measured and kept, with the nearest measured names."""
    if not missing or config.unmeasured == "drop":
        return
    log.note(
        f"{len(missing)} perturbed genes of {n_cells:,} cells are not measured: "
        f"{listed(missing, 20)}; their effects are learned, without alignment of their own "
        f"expression{GeneLookup(raw.var, config.gene_name_key).proposals(missing)} "
        "(config.prepare.unmeasured=drop leaves them out)"
    )


def _perturbed(cells: Perturbations, rows: np.ndarray) -> set[str]:
    return {gene for code in np.unique(cells.code[rows]) for gene in cells.genes[code]}


def _change(cells: Perturbations, before: np.ndarray, after: np.ndarray) -> dict[str, list[int]]:
    return {
        "cells": [len(before), len(after)],
        "perturbations": [cells.counted(before), cells.counted(after)],
    }


def _check_left(
    raw: Raw, rows: np.ndarray, missing: list[str], config: PrepareConfig, log: Log
) -> None:
    """Raise DataError unless a measured gene is perturbed; the message lists what stages left."""
    cells = raw.cells
    if _perturbed(cells, rows) - set(missing):
        return
    stages = [done for done in log.stages if "perturbations" in done]
    trail = ", ".join(f"{done['perturbations'][1]} after {done['stage']!r}" for done in stages)
    if cells.apart.intersection(missing):
        advice = (
            f"different things were done to the same genes ({listed(cells.apart, 4)}); "
            "config.prepare.same_gene=merge makes them one, or prepare each by itself"
        )
    elif missing:
        advice = (
            f"not measured: {listed(missing, 5)}; the names in obs[{config.perturbation_key!r}] "
            "must be var names or in a column of var (config.prepare.gene_name_key)"
            f"{GeneLookup(raw.var, config.gene_name_key).proposals(missing)}"
        )
    elif stages[0]["perturbations"][1]:
        advice = "relax the filters (docs/data.md)"
    else:
        advice = f"obs[{config.perturbation_key!r}] has only control cells"
    raise DataError(f"no perturbation of a measured gene is left: {trail}; {advice}")
