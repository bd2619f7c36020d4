"""The cells to keep: strong perturbations, knocked down, measured, with enough cells."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.prepare.knockdown import knocked_down, low_limits, own_expression
from gpo_vae_jax.data.prepare.raw.perturbed_genes import Perturbations
from gpo_vae_jax.data.prepare.raw.raw_checks import Raw
from gpo_vae_jax.data.prepare.stage_log import Log
from gpo_vae_jax.errors import DataError, listed


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

    def filtered(by: np.ndarray, **did: object) -> np.ndarray:
        change = _change(cells, rows[keep], rows[keep & by])
        log.done(**change, **did)
        return keep & by

    keep = filtered(keep, genes=len(genes))
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
    counts = count_matrix.narrow_copy(raw.counts, rows)
    if config.knockdown and not raw.recorded:
        log.start("knock-down")
        percentile = config.knockdown_percentile
        low = with_low_target(cells, rows, counts, genes, percentile)
        keep = filtered(low, percentile=percentile)
    log.start("measured genes")
    measured, missing = of_measured(cells, rows, genes)
    usable = measured if config.unmeasured == "drop" else np.ones_like(measured)
    missing = sorted(set(missing) & _perturbed(cells, rows[keep]))
    keep = filtered(usable, unmeasured=config.unmeasured, not_measured=missing)
    if config.min_cells and not raw.recorded:
        log.start("minimum cells")
        enough = of_large(cells, rows, keep, config.min_cells)
        keep = filtered(enough, more_cells_than=config.min_cells)
    _check_left(cells, rows[keep], missing, config, log)
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


def _perturbed(cells: Perturbations, rows: np.ndarray) -> set[str]:
    return {gene for code in np.unique(cells.code[rows]) for gene in cells.genes[code]}


def _change(cells: Perturbations, before: np.ndarray, after: np.ndarray) -> dict[str, list[int]]:
    return {
        "cells": [len(before), len(after)],
        "perturbations": [cells.counted(before), cells.counted(after)],
    }


def _check_left(
    cells: Perturbations, rows: np.ndarray, missing: list[str], config: PrepareConfig, log: Log
) -> None:
    """Raise DataError unless a measured gene is perturbed; the message lists what stages left."""
    if _perturbed(cells, rows) - set(missing):
        return
    stages = [done for done in log.stages if "perturbations" in done]
    trail = ", ".join(f"{done['perturbations'][1]} after {done['stage']!r}" for done in stages)
    if missing:
        advice = (
            f"not measured: {listed(missing, 5)}; the names in obs[{config.perturbation_key!r}] "
            "must be var names or in a column of var (config.prepare.gene_name_key)"
        )
    elif stages[0]["perturbations"][1]:
        advice = "relax the filters (docs/data.md)"
    else:
        advice = f"obs[{config.perturbation_key!r}] has only control cells"
    raise DataError(f"no perturbation of a measured gene is left: {trail}; {advice}")
