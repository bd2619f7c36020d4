"""Perturbed against control cells for some genes: ranks, ties and areas, summed by group."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gpo_vae_jax.statistics.control_ranks import (
    MOST_GENES,
    rank_among_controls,
    run_starts,
    sort_within,
)

_BATCH_VALUES = 1 << 19  # compared at a time: enough to keep a thread busy


class Groups(NamedTuple):
    """The cells to compare: M members in R groups, then the controls as group number R.

    A cell with several perturbations is a member of each of their groups. Rank i in a group of n
    starts at the quantile i / n, which lies `begin` controls from the bottom.
    """

    cell: np.ndarray  # [M] the row of each member
    number: np.ndarray  # [M] uint32, the group of each member
    size: np.ndarray  # [R + 1] members of each group
    end: np.ndarray  # [R + 1] where each group ends among the members
    whole: np.ndarray  # [M] whole part of `begin`
    begin: np.ndarray  # [M] quantile of the member's rank, times the number of controls

    @property
    def batch(self) -> int:
        """Return the number of genes to pass to `compare_genes` at a time."""
        return min(max(1, _BATCH_VALUES // max(1, len(self.cell))), MOST_GENES)


class GeneSums(NamedTuple):
    """Sums over the members of R groups for C genes; `two_sample.finish` turns them into tables.

    Members at a gene's lowest value, mostly 0, are counted and never sorted: "above" means above
    that value. Q is the quantile function of the controls.
    """

    n_above: np.ndarray  # [C, R] members above
    wins: np.ndarray  # [C, R] pairs (member above, lower control above); equal ones count half
    tied: np.ndarray  # [C, R] a third of their contribution to the tie correction
    area: np.ndarray  # [C, R] integral of |Q - x| over the quantiles of members above
    up_to_first: np.ndarray  # [C, R] integral of Q over the quantiles of the other members
    controls_above: np.ndarray  # [C, 1] controls above
    control_ties: np.ndarray  # [C, 1] sum of t ** 3 - t over runs of t equal controls above


def compare_genes(
    by_gene: np.ndarray,
    member: np.ndarray,
    values: np.ndarray,
    groups: Groups,
    lowest: np.ndarray,
) -> GeneSums:
    """Compare each group with the controls, for some genes.

    Two sorts per gene do the work: by value, which counts the controls below and at each value, and
    of the perturbed by group. The Wasserstein distance of a group of n is the integral of |Q - x|
    over quantiles; the member of rank i contributes the stretch from i / n to (i + 1) / n.

    Args:
      by_gene: [C] the number of members above the gene's lowest value; C at most `MOST_GENES`.
      member: [S] those members, gene by gene.
      values: [S] their values.
      groups: who is compared with whom.
      lowest: [C] the lowest value of each gene.
    """
    n_genes, n_perturbed = len(by_gene), len(groups.size) - 1
    ranked = rank_among_controls(by_gene, groups.number.take(member), values, n_perturbed)
    by_gene, n_controls = ranked.by_gene, ranked.controls_by_gene
    # sorted by gene, group and value from here on
    group, index = _by_group(ranked.group, n_perturbed, by_gene)
    key, low, high = (array.take(index) for array in (ranked.key, ranked.low, ranked.high))
    unit = group + np.repeat(np.arange(n_genes) * n_perturbed, by_gene)
    n_above = np.bincount(unit, minlength=n_genes * n_perturbed)
    sums = _SumByGroup(n_above)
    # the k-th of the members that equal c controls adds f(c + k) - f(c + k - 1), f(t) = t ** 3 - t
    tied = high - low + _place_in_run(key, unit)
    gene_of_run = ranked.control_key.take(ranked.run_start[:-1]) >> np.uint64(32)
    run = np.diff(ranked.run_start)
    control_ties = np.bincount(gene_of_run.astype(np.intp), ties_of(run), n_genes)
    controls, values = (
        ranked.values(keys) - np.repeat(lowest.astype(np.float64), number)
        for keys, number in ((ranked.control_key, n_controls), (key, by_gene))
    )
    first_control = np.cumsum(n_controls) - n_controls
    shape = n_genes, n_perturbed
    n_above = n_above.reshape(shape)
    return GeneSums(
        n_above,
        sums(low + high).reshape(shape) / 2 - first_control[:, None] * n_above,
        sums(tied * (tied - 1)).reshape(shape),
        *_areas(values, high, n_above, controls, n_controls, sums, groups),
        n_controls[:, None],
        control_ties[:, None],
    )


def _by_group(
    number: np.ndarray, n_groups: int, by_gene: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sort members by group within genes: their groups, and the position each had before."""
    bits = len(number).bit_length()
    narrow = n_groups << bits < 2**32  # half as wide, twice as fast
    kind = np.uint32 if narrow else np.uint64
    key = (number.astype(kind) << kind(bits)) | np.arange(len(number), dtype=kind)
    sort_within(key, by_gene)
    return (key >> kind(bits)).astype(np.intp), (key & kind((1 << bits) - 1)).astype(np.intp)


def _areas(values, high, n_above, controls, n_controls, sums, groups):
    """Return the integrals `area` and `up_to_first` of GeneSums, [C, R] each.

    `values` (above the lowest) and `high` (the controls up to each) are sorted by gene, group and
    value; `controls` by gene and value.
    """
    n_genes, m = len(n_controls), int(groups.size[-1])
    offset = np.arange(n_genes) * (m + 1) + m - np.cumsum(n_controls)
    step = np.zeros((n_genes, m + 1))  # each gene's controls, ascending, and a 0
    step.reshape(-1)[np.arange(len(controls)) + np.repeat(offset, n_controls)] = controls
    below = np.zeros_like(step)  # the integral of Q up to each control
    np.cumsum(step[:, :-1], axis=1, out=below[:, 1:])
    whole_area, step, below = below[:, -1:], step.reshape(-1), below.reshape(-1)
    by_gene, n_above = n_above.sum(axis=1), n_above.reshape(-1)
    last = np.cumsum(n_above)
    place = np.arange(len(values)) + np.repeat(np.tile(groups.end[:-1], n_genes) - last, n_above)
    begin, whole = groups.begin.take(place), groups.whole.take(place)
    row = np.repeat(np.arange(n_genes) * (m + 1), by_gene)
    at = whole + row
    integral = below.take(at) + (begin - whole) * step.take(at)
    at = high + np.repeat(offset, by_gene)
    high = (at - row).astype(np.float64)
    final = last[n_above > 0] - 1
    stop, up_to_stop = _next(begin, final, m), _next(integral, final, below.take(row[final] + m))
    # Q - x keeps its sign over a member's stretch, except where Q crosses x inside it
    area = np.abs(values * (stop - begin) - (up_to_stop - integral))
    inside = np.flatnonzero((begin < high) & (high < stop))
    area[inside] = values[inside] * (2 * high[inside] - begin[inside] - stop[inside]) - (
        2 * below[at[inside]] - integral[inside] - up_to_stop[inside]
    )
    first = np.append(integral, 0.0).take(np.where(n_above > 0, last - n_above, 0))
    first, filled = (array.reshape(n_genes, -1) for array in (first, n_above > 0))
    return sums(area).reshape(n_genes, -1), np.where(filled, first, whole_area)


class _SumByGroup:
    """Sum over consecutive groups of `size` [R] members each; 0 for an empty group."""

    def __init__(self, size: np.ndarray):
        self.filled = np.flatnonzero(size)
        self.first = (np.cumsum(size) - size)[self.filled]
        self.n = len(size)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        if len(self.filled) == self.n:
            return np.add.reduceat(values, self.first) if self.n else values
        total = np.zeros(self.n, values.dtype)
        if len(self.filled):
            total[self.filled] = np.add.reduceat(values, self.first)
        return total


def _place_in_run(key: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Number the equal values of a group 1, 2, ..."""
    place = np.ones(len(key), np.int64)
    again = np.flatnonzero((key[1:] == key[:-1]) & (group[1:] == group[:-1]))
    if len(again):
        stretch = np.arange(len(again))
        new = run_starts(again - stretch)
        place[again + 1] = stretch - np.maximum.accumulate(np.where(new, stretch, 0)) + 2
    return place


def ties_of(number: np.ndarray) -> np.ndarray:
    """Return t ** 3 - t, the contribution of t equal values to the tie correction."""
    return number * number * number - number


def _next(values: np.ndarray, final: np.ndarray, end: float | np.ndarray) -> np.ndarray:
    """Return the next value of each position, and `end` at the `final` positions."""
    following = np.empty_like(values)
    following[:-1] = values[1:]
    following[final] = end
    return following
