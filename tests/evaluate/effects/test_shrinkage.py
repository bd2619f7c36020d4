"""The training mean shrunk by a two-component prior."""

import numpy as np

from gpo_vae_jax.evaluate.effects.shrinkage import shrunk


def test_noise_is_taken_out_and_large_effects_stay():
    rng = np.random.default_rng(0)
    truth = np.where(rng.random((40, 50)) < 0.05, rng.normal(0, 2.0, (40, 50)), 0.0)
    error = np.full(truth.shape, 0.3)
    observed = truth + rng.normal(0, 0.3, truth.shape)
    found = shrunk(observed, error)
    assert np.square(found - truth).mean() < 0.3 * np.square(observed - truth).mean()
    large = np.abs(observed) > 3
    np.testing.assert_allclose(found[large], observed[large], rtol=0.1)
    assert (np.abs(found) <= np.abs(observed) + 1e-12).all()
    assert (np.sign(found) * np.sign(observed) >= 0).all()


def test_precise_effects_are_left_alone_and_uncertain_ones_shrink_more():
    observed = np.array([[1.0, -1.0, 1.0, -1.0, 0.5, -0.4]])
    errors = np.array([[1e-4, 1e-4, 1.0, 1.0, 0.2, 0.2]])
    found = shrunk(observed, errors)
    np.testing.assert_allclose(found[0, :2], observed[0, :2], rtol=1e-4)
    assert (np.abs(found[0, 2:4]) < 0.9).all()


def test_unknown_effects_stay_unknown():
    found = shrunk(np.array([[1.0, np.nan, 2.0]]), np.array([[0.1, 0.1, np.nan]]))
    assert np.isnan(found[0, 1:]).all()
