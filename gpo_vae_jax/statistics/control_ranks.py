"""The rank kernel of every Mann-Whitney test: each value's rank among the controls of its gene."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MOST_GENES = 1 << 12  # of one call: a gene's number shares a 64-bit key with value and group
_NO_KEY = np.uint64(2**64 - 1)


class Ranked(NamedTuple):
    """P perturbed and M control values of C genes, sorted by gene, then by value.

    Mann-Whitney's U of a group is the sum of (low + high) / 2 over its values, less the controls of
    earlier genes: a value wins against every lower control and half against an equal one.
    """

    key: np.ndarray  # [P] uint64, increases with gene and value
    group: np.ndarray  # [P] uint32
    low: np.ndarray  # [P] controls of smaller key, those of earlier genes included
    high: np.ndarray  # [P] controls of smaller or equal key
    by_gene: np.ndarray  # [C] perturbed values of each gene; they sum to P
    control_key: np.ndarray  # [M] uint64
    controls_by_gene: np.ndarray  # [C] controls of each gene; they sum to M
    run_start: np.ndarray  # where runs of equal control keys start, and M
    distinct: np.ndarray | None  # values by the lower 32 bits of a key; None: these are float32

    def values(self, key: np.ndarray) -> np.ndarray:
        """Return the value of each key, float64."""
        code = key.astype(np.uint32)
        found = code.view(np.float32) if self.distinct is None else self.distinct.take(code)
        return found.astype(np.float64)


def rank_among_controls(
    by_gene: np.ndarray, group: np.ndarray, values: np.ndarray, n_groups: int
) -> Ranked:
    """Rank the values of perturbed cells among those of control cells, gene by gene.

    One sort of (gene, value, group) counts the controls before each perturbed value.

    Args:
      by_gene: [C] the number of values of each gene, C at most `MOST_GENES`.
      group: [S] uint32, the group of each value, gene by gene; `n_groups` for controls.
      values: [S], gene by gene in any order; float32 above 0 are fastest.
      n_groups: R, without the controls.
    """
    codes, distinct = _codes(values)
    bits = np.uint64(n_groups.bit_length())
    key = np.repeat(np.arange(len(by_gene), dtype=np.uint64) << np.uint64(32), by_gene)
    key = ((key | codes) << bits) | group  # controls come last among equal values
    sort_within(key, by_gene)
    group, key = (key & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.uint32), key >> bits
    of_control = group == n_groups
    control_key = key.compress(of_control)
    controls_by_gene = _count_within(of_control, by_gene)
    place = np.flatnonzero(~of_control)
    key, low = key.take(place), place - np.arange(len(place))
    run_start = np.flatnonzero(run_starts(control_key, end=True))
    run = np.diff(run_start)
    equal = np.flatnonzero(np.append(control_key, _NO_KEY).take(low) == key)
    high = low.copy()
    high[equal] = np.repeat(run_start[1:], run)[low[equal]]
    return Ranked(
        key,
        group.take(place),
        low,
        high,
        by_gene - controls_by_gene,
        control_key,
        controls_by_gene,
        run_start,
        distinct,
    )


def sort_within(key: np.ndarray, sizes: np.ndarray) -> None:
    """Sort consecutive stretches of the given sizes, each by itself, in place."""
    start = 0
    for end in np.cumsum(sizes).tolist():
        key[start:end].sort()
        start = end


def run_starts(ordered: np.ndarray, end: bool = False) -> np.ndarray:
    """Mark where runs of equal values start; with `end`, also the position after the last."""
    new = np.ones(len(ordered) + end, bool)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1 : len(ordered)])
    return new


def _count_within(flags: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Count the true flags of each stretch of the given sizes."""
    ends = np.cumsum(sizes)
    parts = zip((ends - sizes).tolist(), ends.tolist(), strict=True)
    return np.array([np.count_nonzero(flags[start:end]) for start, end in parts], np.int64)


def _codes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return positive uint32 codes in the order of the values, and the values by code.

    Positive float32 are ordered as their bits are: those are the codes, and None the values.
    """
    if values.dtype == np.float32 and not (len(values) and values.min() <= 0):
        return np.ascontiguousarray(values).view(np.uint32), None
    distinct, codes = np.unique(values, return_inverse=True)
    return codes.ravel().astype(np.uint32) + np.uint32(1), np.append(0, distinct)
