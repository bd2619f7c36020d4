"""Some genes of perturbed against control cells: ranks, ties and areas, summed by group."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_BATCH_VALUES = 1 << 19  # compared at a time: enough for threads to be worth it
_MOST_GENES = 1 << 12  # whose number fits in a sorting key, beside a value and a group
_NO_KEY = np.uint64(2**64 - 1)


class Groups(NamedTuple):
    """Hold who is compared: M members, group by group; the last group, number R, are controls.

    A cell with several perturbations is a member of each of their groups. A member of rank i in
    its group of n begins at the quantile i / n, which is `whole + rest` in control cells.
    """

    cell: np.ndarray  # [M] the row of each member
    number: np.ndarray  # [M] uint32, the group of each member
    size: np.ndarray  # [R + 1] members of each group
    end: np.ndarray  # [R + 1] where each group ends among the members
    whole: np.ndarray  # [M]
    begin: np.ndarray  # [M] whole + rest

    @property
    def batch(self) -> int:
        """Return how many genes `compare_genes` should be given at a time."""
        return min(max(1, _BATCH_VALUES // max(1, len(self.cell))), _MOST_GENES)


class GeneSums(NamedTuple):
    """Hold what C genes add up to, from which `finish` makes tables."""

    n_above: np.ndarray  # [C, R] members above the lowest value of the gene
    wins: np.ndarray  # [C, R] controls below them, of those above the lowest; beside: a half
    tied: np.ndarray  # [C, R] a third of what they add to the ties
    area: np.ndarray  # [C, R] integral of |Q - x| over their quantiles
    up_to_first: np.ndarray  # [C, R] integral of Q over the quantiles of the others
    controls_above: np.ndarray  # [C, 1] controls above the lowest value
    control_ties: np.ndarray  # [C, 1] t ** 3 - t of each run of t equal values of theirs


def compare_genes(
    by_gene: np.ndarray,
    member: np.ndarray,
    values: np.ndarray,
    groups: Groups,
    lowest: np.ndarray,
) -> GeneSums:
    """Compare some genes between each group and the controls.

    Two sorts do the work, gene by gene: of all by value, which counts the controls below and beside
    each, and of the perturbed by group. The distance is the integral over quantiles of |Q - x|, Q
    the quantile function of the controls: a member of a group of n gives the part of 1/n at its
    rank.

    Args:
      by_gene: [C] how many members have more than the lowest value of each gene; the others have
        that. Most values of a sparse gene are 0 and need no sorting.
      member: who they are, gene by gene,
      values: and what they have.
      lowest: [C].
    """
    n_genes, n_perturbed = len(by_gene), len(groups.size) - 1
    # by gene, then by value; where values are equal, controls come last
    codes, distinct = _codes(values)
    bits = np.uint64(n_perturbed.bit_length())
    key = np.repeat(np.arange(n_genes, dtype=np.uint64) << np.uint64(32), by_gene)
    key = ((key | codes) << bits) | groups.number.take(member)
    _sort_within(key, by_gene)
    number, key = (key & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.uint32), key >> bits
    of_control = number == n_perturbed
    controls = key.compress(of_control)
    n_controls = _count_within(of_control, by_gene)
    first_control = np.cumsum(n_controls) - n_controls
    # perturbed by gene, by group, by value; each comes after so many controls as are below it
    place = np.flatnonzero(~of_control)
    by_gene = by_gene - n_controls
    group, index = _by_group(number.take(place), n_perturbed, by_gene)
    place = place.take(index)
    key, low = key.take(place), place - index
    unit = group + np.repeat(np.arange(n_genes) * n_perturbed, by_gene)
    n_above = np.bincount(unit, minlength=n_genes * n_perturbed)
    sums = _SumByGroup(n_above)
    # controls of the same value
    starts = np.flatnonzero(_new(controls, end=True))
    run = np.diff(starts)
    beside = np.flatnonzero(np.append(controls, _NO_KEY).take(low) == key)
    high = low.copy()
    high[beside] = np.repeat(starts[1:], run)[low[beside]]
    # the k-th of the members beside c controls adds f(c + k) - f(c + k - 1), f(t) = t ** 3 - t
    tied = high - low + _place_in_run(key, unit)
    control_ties = np.bincount(
        (controls.take(starts[:-1]) >> np.uint64(32)).astype(np.intp), ties_of(run), n_genes
    )
    controls, values = (
        (array.view(np.float32) if distinct is None else distinct.take(array)).astype(np.float64)
        - np.repeat(lowest.astype(np.float64), number)
        for array, number in (
            (controls.astype(np.uint32), n_controls),
            (key.astype(np.uint32), by_gene),
        )
    )
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
    """Sort members by their group within genes: the groups, and where each member was."""
    bits = len(number).bit_length()
    narrow = n_groups << bits < 2**32  # half as wide, twice as fast
    kind = np.uint32 if narrow else np.uint64
    key = (number.astype(kind) << kind(bits)) | np.arange(len(number), dtype=kind)
    _sort_within(key, by_gene)
    return (key >> kind(bits)).astype(np.intp), (key & kind((1 << bits) - 1)).astype(np.intp)


def _areas(values, high, n_above, controls, n_controls, sums, groups):
    """Integrate |Q - x| by gene and group, and Q over the quantiles of those at the lowest value.

    `values` above the lowest and `high`, the controls up to each, stand by gene, group and value.
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
    # Q stays on one side of x, but for the members whose own place lies between their borders
    area = np.abs(values * (stop - begin) - (up_to_stop - integral))
    inside = np.flatnonzero((begin < high) & (high < stop))
    area[inside] = values[inside] * (2 * high[inside] - begin[inside] - stop[inside]) - (
        2 * below[at[inside]] - integral[inside] - up_to_stop[inside]
    )
    first = np.append(integral, 0.0).take(np.where(n_above > 0, last - n_above, 0))
    first, filled = (array.reshape(n_genes, -1) for array in (first, n_above > 0))
    return sums(area).reshape(n_genes, -1), np.where(filled, first, whole_area)


def _sort_within(key: np.ndarray, sizes: np.ndarray) -> None:
    """Sort stretches of `sizes`, each by itself, in place."""
    start = 0
    for end in np.cumsum(sizes).tolist():
        key[start:end].sort()
        start = end


def _count_within(flags: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Count the true flags of each stretch of `sizes`."""
    ends = np.cumsum(sizes)
    parts = zip((ends - sizes).tolist(), ends.tolist(), strict=True)
    return np.array([np.count_nonzero(flags[start:end]) for start, end in parts], np.int64)


class _SumByGroup:
    """Sum what stands group by group; `size` [R] members each."""

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


def _codes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return uint32 codes above 0 in the order of the values, equal where these are; values by code.

    float32 of at least 0 are ordered as their bits are: those are the codes, None the values.
    """
    if values.dtype == np.float32 and not (len(values) and values.min() <= 0):
        return np.ascontiguousarray(values).view(np.uint32), None
    distinct, codes = np.unique(values, return_inverse=True)
    return codes.ravel().astype(np.uint32) + np.uint32(1), np.append(0, distinct)


def _new(ordered: np.ndarray, end: bool = False) -> np.ndarray:
    """Say where runs of equal values begin; with `end`, also after the last."""
    new = np.ones(len(ordered) + end, bool)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1 : len(ordered)])
    return new


def _place_in_run(key: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Count 1, 2, ... along the members of a group that have the same value."""
    place = np.ones(len(key), np.int64)
    again = np.flatnonzero((key[1:] == key[:-1]) & (group[1:] == group[:-1]))
    if len(again):
        stretch = np.arange(len(again))
        new = _new(again - stretch)
        place[again + 1] = stretch - np.maximum.accumulate(np.where(new, stretch, 0)) + 2
    return place


def ties_of(number: np.ndarray) -> np.ndarray:
    return number * number * number - number


def _next(values: np.ndarray, final: np.ndarray, end: float | np.ndarray) -> np.ndarray:
    """Return the value that follows each, `end` at the final positions."""
    following = np.empty_like(values)
    following[:-1] = values[1:]
    following[final] = end
    return following
