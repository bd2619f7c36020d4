"""Pearson correlation."""

import numpy as np
import pytest
from scipy import stats

from gpo_vae_jax.statistics.correlation import cross_pearson, pearson, row_pearson


def test_every_pair_of_columns_equals_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), 1e3 + rng.normal(size=(20, 4))
    found = cross_pearson(x, y)
    for i in range(3):
        for j in range(4):
            expected = stats.pearsonr(x[:, i], y[:, j]).statistic
            assert found[i, j] == pytest.approx(expected, rel=1e-9)
            assert pearson(x[:, i], y[:, j]) == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(row_pearson(x.T, y[:, :3].T), np.diag(found), rtol=1e-12)


def test_only_entries_finite_in_both_count():
    x = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    y = np.array([2.0, 1.0, 3.0, np.inf, 5.0])
    assert pearson(x, y) == pytest.approx(stats.pearsonr([1, 2, 5], [2, 1, 5]).statistic)
    assert pearson(x.reshape(1, 5), y.reshape(1, 5)) == pearson(x, y)


@pytest.mark.parametrize(
    ("x", "y"),
    [([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]), ([0.1] * 3, [0.1] * 3), ([1.0], [2.0]), ([], [])],
    ids=["one is constant", "both are", "one entry", "nothing"],
)
def test_nothing_to_correlate_is_nan(x, y):
    assert np.isnan(pearson(np.array(x), np.array(y)))


def test_a_constant_column_is_nan_and_others_are_not():
    x = np.array([[1.0, 0.1], [2.0, 0.1], [4.0, 0.1]])
    found = cross_pearson(x, x)
    assert found[0, 0] == pytest.approx(1)
    assert np.isnan([found[0, 1], found[1, 0], found[1, 1]]).all()
