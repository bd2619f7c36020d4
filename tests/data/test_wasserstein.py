"""Wasserstein distances against scipy, pair by pair."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from gpo_vae_jax.data.wasserstein import wasserstein_table


def one_by_one(expression, controls, perturbation, dosage, n_perturbed):
    table = np.full((n_perturbed, expression.shape[1]), np.nan)
    for r in range(n_perturbed):
        carries = ((perturbation == r) & (dosage != 0)).any(axis=1)
        for t in range(expression.shape[1]):
            a, b = expression[carries, t], expression[controls, t]
            if len(a) and len(b) and not np.isnan(expression[:, t]).any():
                table[r, t] = wasserstein_distance(a, b)
    return table


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 5), st.booleans())
def test_every_pair_equals_scipy(seed, n, n_perturbed, discrete):
    rng = np.random.default_rng(seed)
    expression = rng.poisson(1.5, (n, 4)) * 0.7 if discrete else rng.normal(size=(n, 4)) ** 3
    dosage = (rng.random((n, 2)) < 0.6).astype(np.float32)
    perturbation = np.stack([np.arange(n) % n_perturbed, (np.arange(n) + 1) % n_perturbed], axis=1)
    if n_perturbed == 1:
        dosage[:, 1] = 0
    controls = ~dosage.any(axis=1)
    arguments = (expression, controls, perturbation, dosage, n_perturbed)
    np.testing.assert_allclose(wasserstein_table(*arguments), one_by_one(*arguments), atol=1e-12)


def test_nothing_to_compare_is_nan():
    expression = np.array([[1.0, np.nan], [2.0, 3.0], [4.0, 5.0]])
    perturbation, dosage = np.zeros((3, 1), int), np.array([[0.0], [1], [1]])
    controls = np.array([True, False, False])
    table = wasserstein_table(expression, controls, perturbation, dosage, 2)
    np.testing.assert_array_equal(table, [[2.0, np.nan], [np.nan, np.nan]])
    assert np.isnan(
        wasserstein_table(expression, ~controls[::-1] & False, perturbation, dosage, 2)
    ).all()
