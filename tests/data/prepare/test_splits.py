"""Splits: exact sizes, by name or by row."""

import numpy as np

from gpo_vae_jax.data.prepare.splits import split_by_name, split_by_row


def sizes(split):
    return {
        str(name): int(n) for name, n in zip(*np.unique(split, return_counts=True), strict=True)
    }


def test_sizes_are_those_of_the_published_split():
    names = [f"cell{i}" for i in range(19098)]
    expected = {"train": 12222, "val": 3056, "test": 3820}
    assert sizes(split_by_name(names, 0)) == expected
    assert sizes(split_by_row(19098)) == expected


def test_a_split_by_name_follows_the_name():
    names = np.array([f"cell{i}" for i in range(500)])
    order = np.random.default_rng(0).permutation(500)
    np.testing.assert_array_equal(split_by_name(names[order], 3), split_by_name(names, 3)[order])
    assert (split_by_name(names, 3) != split_by_name(names, 4)).mean() > 0.3


def test_the_split_by_name_never_changes():
    """A changed hash would put test cells of old prepared files into new training sets."""
    split = split_by_name([f"c{i}" for i in range(10)], 0)
    assert np.flatnonzero(split == "test").tolist() == [5, 7]
    assert np.flatnonzero(split == "val").tolist() == [0, 9]
