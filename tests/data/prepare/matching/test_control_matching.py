"""Control matching: transport, assignment, weighted distances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from gpo_vae_jax.data.prepare.matching import control_matching as matching
from gpo_vae_jax.data.prepare.matching import transport
from gpo_vae_jax.data.prepare.matching.distances import euclidean
from gpo_vae_jax.data.prepare.matching.transport import transport_match
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.statistics.two_sample import two_sample_tables


@pytest.fixture
def recorded(golden):
    return golden("control_matching")


def weights_of(cells, controls):
    both = np.concatenate([controls, cells])
    group = np.repeat([0, 1], [len(controls), len(cells)])[:, None]
    every = np.ones(group.shape)
    return two_sample_tables(both, group[:, 0] == 0, group, every, 2).wasserstein[1]


def test_the_recorded_transport(recorded):
    scale = float(recorded["ot_scale"])
    matched = transport_match(recorded["pert"] * scale, recorded["control"] * scale)
    np.testing.assert_array_equal(matched, recorded["ot_idx"])


def test_the_recorded_assignment(recorded):
    matched = matching.assignment_match(recorded["pert"], recorded["control"])
    np.testing.assert_array_equal(matched, recorded["hpm_idx"])


def test_cells_left_over_by_the_assignment_get_their_nearest_control(recorded):
    cells, controls = recorded["pert_big"], recorded["control"]
    distance = cdist(cells, controls)
    matched = matching.assignment_match(cells, controls)
    assigned, to = linear_sum_assignment(distance)
    np.testing.assert_array_equal(matched[assigned], to)
    assert set(to) == set(range(len(controls)))
    left = np.setdiff1d(np.arange(len(cells)), assigned)
    assert len(left) == len(cells) - len(controls)
    np.testing.assert_array_equal(matched[left], distance[left].argmin(axis=1))


def test_the_recorded_weighted_matches(recorded):
    cells, controls = recorded["pert"], recorded["control"]
    weights = weights_of(cells, controls)
    np.testing.assert_allclose(weights, recorded["wd_distance"], rtol=1e-12)
    far = matching.weighted_match(cells, controls, weights, farthest=True)
    np.testing.assert_array_equal(far, recorded["wd_idx"])
    near = matching.weighted_match(cells, controls, weights, farthest=False)
    total = (np.abs(cells[:, None] - controls) * weights).sum(axis=2)
    np.testing.assert_array_equal(near, total.argmin(axis=1))


@pytest.mark.parametrize("method", ["ot", "hpm", "wd"])
def test_the_recorded_matches_through_the_front_door(recorded, method):
    scale = float(recorded["ot_scale"]) if method == "ot" else 1.0
    expression = np.concatenate([recorded["control"], recorded["pert"]]) * scale
    is_control = np.arange(len(expression)) < len(recorded["control"])
    matched = matching.match_controls(
        expression, 1 - is_control, np.full(len(expression), "train"), is_control, method
    )
    np.testing.assert_array_equal(matched[~is_control], recorded[f"{method}_idx"])


def test_costs_beyond_the_range_of_exp_choose_the_nearest_controls():
    rng = np.random.default_rng(0)
    controls = rng.normal(size=(6, 3)) * 1e6
    order = rng.permutation(6)
    matched = transport_match(controls[order] + 1e-3, controls)
    np.testing.assert_array_equal(matched, order)


def test_of_equal_controls_the_first_is_chosen():
    controls = np.array([[5.0, 5.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    cells = np.array([[1.0, 0.1], [1.0, 0.2]])
    matched = transport_match(cells, controls)
    assert 1 in matched and not np.isin(matched, (2, 3)).any()


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30), st.integers(1, 8))
def test_of_equal_controls_the_first_is_chosen_whatever_the_rounding(seed, n, m, genes):
    rng = np.random.default_rng(seed)
    controls = rng.normal(size=(m, genes))
    again = np.concatenate([controls, controls[rng.permutation(m)], controls])
    for match in (transport_match, matching.assignment_match):
        assert (match(rng.normal(size=(3 * m + n, genes)), again)[-n:] >= 0).all()
    assert (transport_match(rng.normal(size=(n, genes)), again) < m).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 1.0, 30.0]))
def test_both_domains_of_transport_agree(seed, scale):
    rng = np.random.default_rng(seed)
    kernel = -rng.random((7, 9)) * scale
    scaling = transport.scalings_of_controls(lambda: [np.exp(kernel)], kernel.shape)
    potential = transport.potentials_of_controls(lambda: [kernel[:3], kernel[3:]], kernel.shape)
    difference = np.log(scaling) - potential
    np.testing.assert_allclose(difference, difference.mean(), atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 1e5])
def test_a_kernel_in_blocks_gives_the_same(monkeypatch, scale):
    rng = np.random.default_rng(2)
    cells, controls = rng.normal(size=(23, 4)) * scale, rng.normal(size=(11, 4)) * scale
    whole = transport_match(cells, controls)
    monkeypatch.setattr(transport, "_KERNEL_VALUES", 60)
    np.testing.assert_array_equal(transport_match(cells, controls), whole)


@pytest.mark.parametrize("scale", [1.0, 40.0, 3000.0])
def test_transport_is_that_of_pot(scale):
    ot = pytest.importorskip("ot", reason="POT is there to compare with")
    rng = np.random.default_rng(1)
    cells, controls = rng.normal(size=(25, 6)) * scale, rng.normal(size=(40, 6)) * scale
    cost = cdist(cells, controls) / 100
    plan = ot.sinkhorn([], [], cost, 1.0, method="sinkhorn_log", numItermax=20_000, stopThr=1e-13)
    np.testing.assert_array_equal(transport_match(cells, controls), plan.argmax(axis=1))


@given(st.integers(0, 2**32 - 1), st.floats(1e-9, 1e6))
def test_distances_are_exact_where_cells_are_close(seed, scale):
    rng = np.random.default_rng(seed)
    controls = rng.normal(size=(8, 5)) * scale
    near = rng.normal(size=(8, 5)) * scale * 10.0 ** rng.uniform(-9, 0)
    cells = np.concatenate([controls, controls + near, np.zeros((1, 5))])
    found = euclidean(cells, controls)
    np.testing.assert_allclose(found, cdist(cells, controls), rtol=1e-7)
    assert (np.diag(found) == 0).all()


def groups(n=80, seed=0):
    rng = np.random.default_rng(seed)
    split = np.array(["train", "val", "test"])[rng.integers(3, size=n)]
    group = rng.integers(4, size=n)
    return rng.normal(size=(n, 5)), group, split, group == 0


@pytest.mark.parametrize("method", matching.METHODS)
def test_matches_are_controls_of_the_same_split(method):
    expression, group, split, is_control = groups()
    matched = matching.match_controls(expression, group, split, is_control, method)
    assert is_control[matched].all()
    assert (split[matched] == split).all()
    if method in ("ot", "hpm"):
        np.testing.assert_array_equal(matched[is_control], np.flatnonzero(is_control))
    else:  # controls are no distance from themselves as a group: all are as near, or as far
        assert len(np.unique(matched[is_control])) == 3


@pytest.mark.parametrize("method", ["ot", "hpm"])
def test_matches_follow_the_cells_when_rows_are_shuffled(method):
    expression, group, split, is_control = groups()
    matched = matching.match_controls(expression, group, split, is_control, method)
    order = np.random.default_rng(1).permutation(len(group))
    again = matching.match_controls(
        expression[order], group[order], split[order], is_control[order], method
    )
    np.testing.assert_array_equal(order[again], matched[order])


@pytest.mark.parametrize("method", matching.METHODS)
def test_a_gene_that_is_not_measured_is_left_out(method):
    expression, group, split, is_control = groups()
    matched = matching.match_controls(expression, group, split, is_control, method)
    with_nan = np.insert(expression, 2, np.nan, axis=1)
    again = matching.match_controls(with_nan, group, split, is_control, method)
    np.testing.assert_array_equal(again, matched)
    nothing = matching.match_controls(expression * np.nan, group, split, is_control, method)
    assert is_control[nothing].all() and (split[nothing] == split).all()


def test_a_method_that_does_not_exist():
    with pytest.raises(
        DataError, match="matching='nearest' is not possible; there are: ot, hpm, wd"
    ):
        matching.match_controls(*groups(), "nearest")


def test_a_split_without_controls():
    expression, group, split, is_control = groups()
    with pytest.raises(DataError, match="'val' has no control cells"):
        matching.match_controls(expression, group, split, is_control & (split != "val"))


def test_another_matching_can_be_put_in():
    expression, group, split, is_control = groups()

    def first(cells, controls):
        return np.zeros(len(cells), int)

    matched = matching.match_controls(expression, group, split, is_control, first)
    for name in np.unique(split):
        here = split == name
        assert set(matched[here]) == {np.flatnonzero(here & is_control)[0]}


def test_delta_expression():
    expression = np.array([[1.0, np.nan], [3.0, 2.0], [0.5, 7.0]])
    delta = matching.delta_expression(expression, np.array([1, 1, 1]))
    np.testing.assert_array_equal(delta, np.float32([[2, 0], [0, 0], [2.5, 5]]))
