"""Control matching by entropic optimal transport."""

import numpy as np
import pytest

from gpo_vae_jax.data import matching
from gpo_vae_jax.errors import DataError


def test_the_recorded_matches(golden):
    recorded = golden("control_matching")
    scale = float(recorded["ot_scale"])
    matched = matching.transport_match(recorded["pert"] * scale, recorded["control"] * scale)
    np.testing.assert_array_equal(matched, recorded["ot_idx"])


def test_costs_beyond_the_range_of_exp_choose_the_nearest_controls():
    rng = np.random.default_rng(0)
    controls = rng.normal(size=(6, 3)) * 1e6
    order = rng.permutation(6)
    matched = matching.transport_match(controls[order] + 1e-3, controls)
    np.testing.assert_array_equal(matched, order)


def test_of_equal_controls_the_first_is_chosen():
    controls = np.array([[5.0, 5.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    cells = np.array([[1.0, 0.1], [1.0, 0.2]])
    matched = matching.transport_match(cells, controls)
    assert 1 in matched and not np.isin(matched, (2, 3)).any()


def groups(n=80, seed=0):
    rng = np.random.default_rng(seed)
    split = np.array(["train", "val", "test"])[rng.integers(3, size=n)]
    group = rng.integers(4, size=n)
    return rng.normal(size=(n, 5)), group, split, group == 0


def test_matches_are_controls_of_the_same_split():
    expression, group, split, is_control = groups()
    matched = matching.match_controls(expression, group, split, is_control)
    assert is_control[matched].all()
    assert (split[matched] == split).all()
    np.testing.assert_array_equal(matched[is_control], np.flatnonzero(is_control))


def test_matches_follow_the_cells_when_rows_are_shuffled():
    expression, group, split, is_control = groups()
    matched = matching.match_controls(expression, group, split, is_control)
    order = np.random.default_rng(1).permutation(len(group))
    again = matching.match_controls(
        expression[order], group[order], split[order], is_control[order]
    )
    np.testing.assert_array_equal(order[again], matched[order])


def test_a_split_without_controls():
    expression, group, split, is_control = groups()
    with pytest.raises(DataError, match="'val' has no control cells"):
        matching.match_controls(expression, group, split, is_control & (split != "val"))


def test_another_matching_can_be_put_in():
    expression, group, split, is_control = groups()

    def first(cells, controls):
        return np.zeros(len(cells), int)

    matched = matching.match_controls(expression, group, split, is_control, match=first)
    for name in np.unique(split):
        here = split == name
        assert set(matched[here]) == {np.flatnonzero(here & is_control)[0]}


def test_delta_expression():
    expression = np.array([[1.0, np.nan], [3.0, 2.0], [0.5, 7.0]])
    delta = matching.delta_expression(expression, np.array([1, 1, 1]))
    np.testing.assert_array_equal(delta, np.float32([[2, 0], [0, 0], [2.5, 5]]))
