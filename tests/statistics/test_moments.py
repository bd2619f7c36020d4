"""Mean and standard deviation in chunks."""

import numpy as np

from gpo_vae_jax.statistics.moments import Moments


def test_chunks_of_any_part_equal_numpy():
    values = 1e6 + np.random.default_rng(0).normal(size=(11, 5, 3)).astype(np.float32)
    moments = Moments((5, 3))
    for rows in (slice(0, 1), slice(1, 7), slice(7, 11)):
        for part in (slice(0, 2), slice(2, 5)):
            moments.add(values[rows, part], part)
    exact = values.astype(np.float64)
    np.testing.assert_allclose(moments.mean, exact.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(moments.std(), exact.std(axis=0, ddof=1), rtol=1e-9)


def test_a_single_observation_has_no_spread():
    moments = Moments((2,))
    moments.add(np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal(moments.mean, [1, 2])
    np.testing.assert_array_equal(moments.std(), [0, 0])
