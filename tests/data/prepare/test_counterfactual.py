"""Counterfactual counts: lower medians of keyed draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gpo_vae_jax.data.prepare.counterfactual import counterfactual_counts, lower_median_of_draws
from gpo_vae_jax.statistics.random_by_name import draw_below, hash_names


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 50), st.floats(0.1, 300))
def test_the_lower_median_by_sorting(seed, n, k, mean):
    rng = np.random.default_rng(seed)
    values = rng.poisson(mean, (n, 6)).astype(np.uint16)
    draws = rng.integers(n, size=(5, k))
    expected = np.sort(values[draws], axis=1)[:, (k - 1) // 2]
    np.testing.assert_array_equal(lower_median_of_draws(values, draws), expected)


def example(n=60, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(1, 4, 8), (n, 8)).astype(np.uint8)
    group = rng.integers(4, size=n)
    failed = (rng.random(n) < 0.4) & (group != 3)
    return counts, group, failed, hash_names([f"c{i}" for i in range(n)], 0, "test")


def test_every_cell_gets_the_median_of_its_own_draws():
    counts, group, failed, hashes = example()
    result = counterfactual_counts(counts, group, failed, hashes)
    for i in range(len(counts)):
        sources = np.flatnonzero((group == group[i]) & failed)
        expected = np.zeros(counts.shape[1])
        if len(sources):
            k = min(len(sources), 50)
            draws = draw_below(hashes[i : i + 1], k, len(sources))[0]
            expected = np.sort(counts[sources[draws]], axis=0)[(k - 1) // 2]
        np.testing.assert_array_equal(result[i], expected)
    assert not result[group == 3].any() and result[group != 3].any()


def test_sparse_counts_give_the_same():
    counts, group, failed, hashes = example()
    dense = counterfactual_counts(counts, group, failed, hashes)
    result = counterfactual_counts(sparse.csr_matrix(counts), group, failed, hashes)
    assert sparse.issparse(result)
    np.testing.assert_array_equal(result.toarray(), dense)


def test_more_than_fifty_failed_cells_give_fifty_draws():
    counts = np.arange(120, dtype=np.uint8)[:, None]
    result = counterfactual_counts(
        counts, np.zeros(120, int), np.ones(120, bool), hash_names(range(120), 0, "")
    )
    for i in range(120):
        draws = draw_below(hash_names([i], 0, ""), 50, 120)[0]
        assert result[i, 0] == np.sort(draws)[24]


@pytest.mark.parametrize("high", [1, 2, 3, 37])
def test_draws_are_uniform_and_belong_to_the_name(high):
    hashes = hash_names([f"cell{i}" for i in range(2000)], 0, "draws")
    draws = draw_below(hashes, 20, high)
    share = np.bincount(draws.ravel(), minlength=high) / draws.size
    assert len(share) == high
    np.testing.assert_allclose(share, 1 / high, atol=0.01)
    np.testing.assert_array_equal(draw_below(hashes[7:8], 20, high)[0], draws[7])
    np.testing.assert_array_equal(draw_below(hashes, 5, high), draws[:, :5])


def test_seed_purpose_and_name_all_matter():
    numbers = {
        int(hash_names([name], seed, purpose)[0])
        for name in "ab"
        for seed in (0, 1)
        for purpose in ("x", "y")
    }
    assert len(numbers) == 8
