"""Mann-Whitney tests and Wasserstein distances against scipy, pair by pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, wasserstein_distance

from gpo_vae_jax.statistics import gene_sums
from gpo_vae_jax.statistics.two_sample import two_sample_tables


def one_by_one(expression, controls, perturbation, dosage, n_perturbed):
    p = np.full((n_perturbed, expression.shape[1]), np.nan)
    distance = p.copy()
    for r in range(n_perturbed):
        carries = ((perturbation == r) & (dosage != 0)).any(axis=1)
        for t in range(expression.shape[1]):
            a, b = (expression[rows, t].astype(np.float64) for rows in (carries, controls))
            if len(a) and len(b) and not np.isnan(expression[:, t]).any():
                p[r, t] = mannwhitneyu(a, b, alternative="two-sided", method="asymptotic").pvalue
                distance[r, t] = wasserstein_distance(a, b)
    return p, distance


def draw(rng, kind, shape):
    """Return sparse counts, values of either sign, of few kinds, or all the same."""
    if kind == "counts":
        return np.log1p(rng.poisson(0.8, shape) * rng.uniform(0.5, 2, (shape[0], 1)))
    if kind == "signed":
        return rng.normal(size=shape) ** 3
    if kind == "discrete":
        return rng.integers(-2, 3, shape) * 0.7
    return np.broadcast_to(rng.integers(-1, 2, shape[1]).astype(float), shape)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 40),
    st.integers(1, 5),
    st.sampled_from(["counts", "signed", "discrete", "same"]),
    st.sampled_from([np.float32, np.float64]),
)
def test_every_pair_equals_scipy(seed, n, n_perturbed, kind, dtype):
    rng = np.random.default_rng(seed)
    expression = draw(rng, kind, (n, 3)).astype(dtype)
    dosage = (rng.random((n, 2)) < 0.6).astype(np.float32)
    perturbation = np.stack([np.arange(n) % n_perturbed, (np.arange(n) + 1) % n_perturbed], axis=1)
    if n_perturbed == 1:
        dosage[:, 1] = 0
    controls = ~dosage.any(axis=1)
    arguments = (expression, controls, perturbation, dosage, n_perturbed)
    found, (p, distance) = two_sample_tables(*arguments), one_by_one(*arguments)
    np.testing.assert_allclose(found.p, p, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.wasserstein, distance, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_cells_with_ties_and_small_groups_equal_scipy(dtype):
    rng = np.random.default_rng(0)
    n, n_perturbed = 1500, 6
    library = rng.integers(40, 60, n)
    expression = np.log1p(rng.poisson(1.0, (n, 5)) * (50 / library)[:, None]).astype(dtype)
    group = rng.choice(n_perturbed + 1, n, p=[0.3, 0.2, 0.08, 0.02, 0.1, 0.1, 0.2])
    expression[group == 4, 1] = 0
    expression[group == n_perturbed, 2] = 0
    group[np.flatnonzero(group == 3)[1:]] = 0  # a single cell
    controls = group == n_perturbed
    perturbation = np.where(controls, 0, group)[:, None]
    arguments = (expression, controls, perturbation, ~controls[:, None], n_perturbed)
    found, (p, distance) = two_sample_tables(*arguments), one_by_one(*arguments)
    np.testing.assert_allclose(found.p, p, rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(found.wasserstein, distance, rtol=1e-10, atol=1e-13)


def test_nothing_to_compare_is_nan():
    expression = np.array([[1.0, np.nan], [2.0, 3.0], [4.0, 5.0]])
    perturbation, dosage = np.zeros((3, 1), int), np.array([[0.0], [1], [1]])
    controls = np.array([True, False, False])
    found = two_sample_tables(expression, controls, perturbation, dosage, 2)
    np.testing.assert_array_equal(found.wasserstein, [[2.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(np.isnan(found.p), np.isnan(found.wasserstein))
    for nobody in (
        two_sample_tables(expression, np.zeros(3, bool), perturbation, dosage, 2),
        two_sample_tables(expression, np.zeros(3, bool), perturbation, 0 * dosage, 2),
        two_sample_tables(expression, controls, perturbation, 0 * dosage, 2),
    ):
        assert np.isnan(nobody.p).all() and np.isnan(nobody.wasserstein).all()


def test_perturbations_beyond_the_first_are_left_out():
    expression = np.array([[0.0], [2.0], [4.0], [9.0]])
    perturbation, dosage = np.array([[0], [0], [1], [5]]), np.array([[0], [1], [1], [1]])
    found = two_sample_tables(
        expression, np.array([True, False, False, False]), perturbation, dosage, 2
    )
    np.testing.assert_array_equal(found.wasserstein, [[2.0], [4.0]])


@pytest.mark.parametrize("genes", [1, 3])
def test_genes_at_a_time_and_empty_groups_change_nothing(monkeypatch, genes):
    rng = np.random.default_rng(2)
    expression = draw(rng, "counts", (80, 7)).astype(np.float32)
    group = np.arange(80) % 5
    arguments = (expression, group == 4, group[:, None] % 4, (group < 4)[:, None])
    plain = two_sample_tables(*arguments, 4)
    monkeypatch.setattr(gene_sums, "MOST_GENES", genes)
    wide = two_sample_tables(*arguments, 9 if genes == 1 else 4)  # some groups are empty
    for have, want in zip(wide, plain, strict=True):
        np.testing.assert_allclose(have[:4], want, rtol=1e-12)
        assert np.isnan(have[4:]).all()


@pytest.mark.parametrize("n_groups", [7, 2**30])
def test_members_are_sorted_by_group_within_genes(n_groups):
    number = np.random.default_rng(0).integers(0, 7, 50).astype(np.uint32)
    group, index = gene_sums._by_group(number, n_groups, np.array([20, 0, 30]))
    for start, end in ((0, 20), (20, 50)):
        order = np.argsort(number[start:end], kind="stable")
        np.testing.assert_array_equal(index[start:end], start + order)
    np.testing.assert_array_equal(group, number[index])
