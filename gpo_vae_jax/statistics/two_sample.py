"""Perturbed against control cells, gene by gene: Mann-Whitney tests and Wasserstein distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from gpo_vae_jax.statistics.gene_sums import GeneSums, Groups, compare_genes, ties_of


class TwoSample(NamedTuple):
    """The comparison of every (perturbation r, gene t) pair with control, [R, T] float64 each.

    nan where there is nothing to compare: a gene that is not measured, or a group without cells.
    """

    p: np.ndarray  # of Mann-Whitney's U: two-sided, asymptotic, corrected for ties and continuity
    wasserstein: np.ndarray  # exact, in units of log-normalised expression


def groups_of(
    perturbation: np.ndarray, dosage: np.ndarray, controls: np.ndarray, n_perturbed: int
) -> Groups:
    """Group cells by perturbation, the controls last.

    Args:
      perturbation: [N, K] dosage columns of each cell; those from `n_perturbed` on are ignored.
      dosage: [N, K] 0 where `perturbation` does not count.
      controls: [N] bool.
      n_perturbed: R.
    """
    cell, slot = np.nonzero((np.asarray(dosage) != 0) & (perturbation < n_perturbed))
    group = np.asarray(perturbation)[cell, slot].astype(np.int64)
    rows = np.flatnonzero(controls)
    cell = np.concatenate([cell, rows])
    group = np.concatenate([group, np.full(len(rows), n_perturbed)])
    order = np.argsort(group, kind="stable")
    cell, group = cell[order], group[order]
    size = np.bincount(group, minlength=n_perturbed + 1)
    end = np.cumsum(size)
    rank = np.arange(len(group)) - (end - size)[group]
    whole, rest = np.divmod(rank * len(rows), size[group])
    begin = whole + rest / size[group]
    return Groups(cell, group.astype(np.uint32), size, end, whole, begin)


def two_sample_tables(
    expression: np.ndarray,
    controls: np.ndarray,
    perturbation: np.ndarray,
    dosage: np.ndarray,
    n_perturbed: int,
) -> TwoSample:
    """Compare the columns of `expression` between perturbed and control cells.

    Args:
      expression: [N, T], fastest as float32. A column with a nan is not measured.
      controls: [N] bool.
      perturbation: [N, K], as in `groups_of`.
      dosage: [N, K], as in `groups_of`.
      n_perturbed: R.
    """
    groups = groups_of(perturbation, dosage, controls, n_perturbed)
    measured, found = np.flatnonzero(~np.isnan(expression).any(axis=0)), []
    for start in range(0, len(measured) if len(groups.cell) else 0, groups.batch):
        values = np.asarray(expression)[:, measured[start : start + groups.batch]].T[:, groups.cell]
        lowest = values.min(axis=1)
        gene, member = np.nonzero(values != lowest[:, None])
        by_gene = np.bincount(gene, minlength=len(values))
        found.append(compare_genes(by_gene, member, values[gene, member], groups, lowest))
    return finish(found, groups, measured, expression.shape[1])


def finish(
    found: Sequence[GeneSums], groups: Groups, measured: np.ndarray, n_treatments: int
) -> TwoSample:
    """Build the tables from the results of `compare_genes`, in the order of `measured` treatments.

    The p-value is the normal approximation of scipy.stats.mannwhitneyu; 1 where all values are
    equal.
    """
    n, m = groups.size[:-1].astype(np.float64), float(groups.size[-1])
    tables = TwoSample(*(np.full((len(n), n_treatments), np.nan) for _ in range(2)))
    if not found or not m:
        return tables
    of = GeneSums(*(np.concatenate(part) for part in zip(*found, strict=True)))
    n_lowest, controls_lowest = n - of.n_above, m - of.controls_above
    wins = of.wins + (of.n_above + n_lowest / 2) * controls_lowest
    ties = 3 * of.tied + of.control_ties + ties_of(controls_lowest + n_lowest)
    total = n + m
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(n * m / 12 * (total + 1 - ties / (total * (total - 1))))
        z = (np.abs(wins - n * m / 2) - 0.5) / spread
        p = np.clip(2 * ndtr(-z), 0, 1)
    tables.p[:, measured] = np.where(n > 0, p, np.nan).T
    tables.wasserstein[:, measured] = np.where(n > 0, (of.area + of.up_to_first) / m, np.nan).T
    return tables
