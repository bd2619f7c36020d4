"""Control cells weighted to the library sizes of a group."""

import numpy as np

from gpo_vae_jax.evaluate.effects.conditional_effects import _depth_weights


def test_each_cell_of_a_group_counts_for_the_control_of_nearest_depth():
    size = np.array([100.0, 1000.0, 10000.0, 90.0, 1100.0, 900.0, 2e6])
    lenders = np.array([1, 0, 2])  # controls of 1000, 100 and 10000 counts
    members = [np.array([3, 4, 5]), np.array([6]), np.array([], int), lenders]
    found = _depth_weights(size, lenders, members)
    np.testing.assert_allclose(found[:, 0], [2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(found[:, 1], [0, 0, 1])
    assert np.isnan(found[:, 2]).all()
    np.testing.assert_allclose(found[:, 3], 1 / 3)


def test_a_group_of_the_same_depths_changes_nothing():
    size = np.tile(np.random.default_rng(0).lognormal(8, 0.5, 40), 2)
    lenders, own = np.arange(40), np.arange(40, 80)
    found = _depth_weights(size, lenders, [own, lenders])
    np.testing.assert_allclose(found[:, 0], 1 / 40)
