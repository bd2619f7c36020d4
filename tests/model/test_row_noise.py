"""Random numbers by rows: uniform, normal and logistic, and independent along and across rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gpo_vae_jax.model.row_noise import (
    _between_0_and_1,
    logistic_rows,
    normal_quantile,
    normal_rows,
    uniform_rows,
)


def test_uniform_numbers_are_never_0_or_1():
    """All steps of both ends: rounding to 1 would be an infinite value of the normal heads."""
    ends = np.arange(1 << 12, dtype=np.uint32)
    values = np.asarray(_between_0_and_1(jnp.asarray(np.concatenate([ends, ~ends]))))
    assert values.min() > 0 and values.max() < 1
    np.testing.assert_array_equal(values[: 1 << 12], 1 - values[1 << 12 :].astype(np.float64))


def test_uniform_numbers_are_uniform_within_and_across_rows():
    keys = jax.random.split(jax.random.key(0), 300)
    values = uniform_rows(
        jax.random.key_data(keys), jnp.arange(2000, dtype=jnp.uint32), jnp.uint32(0)
    )
    bins = (np.asarray(values) * 32).astype(int)
    for cells in (bins, bins[:, :-1] * 32 + bins[:, 1:], bins[:-1] * 32 + bins[1:]):
        assert stats.chisquare(np.bincount(cells.ravel())).pvalue > 1e-3


@pytest.mark.parametrize(
    ("draw", "distribution"), [(normal_rows, stats.norm), (logistic_rows, stats.logistic)]
)
def test_rows_follow_their_distribution_and_do_not_hang_together(draw, distribution):
    draw = jax.jit(draw, static_argnums=1)
    values = np.asarray(draw(jax.random.split(jax.random.key(1), 200), 500))
    assert stats.kstest(values.ravel(), distribution.cdf).pvalue > 1e-3
    scores = stats.norm.ppf(distribution.cdf(values.astype(np.float64)))
    for a, b in ((scores[:, 1:], scores[:, :-1]), (scores[1:], scores[:-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)


def test_normal_quantile_is_scipys_to_its_last_steps():
    u = np.concatenate([(np.arange(1 << 12) + 0.5) * 2.0**-23, np.linspace(1e-3, 0.5, 10_000)])
    u = np.concatenate([u, 1 - u]).astype(np.float32)
    expected = stats.norm.ppf(u.astype(np.float64))
    np.testing.assert_allclose(normal_quantile(jnp.asarray(u)), expected, rtol=3e-6, atol=3e-6)


def test_a_row_is_the_same_whatever_is_drawn_with_it():
    draw = jax.jit(normal_rows, static_argnums=1)
    keys = jax.random.split(jax.random.key(2), 6).reshape(2, 3)
    whole = draw(keys, 9)
    np.testing.assert_array_equal(whole[1, 2], draw(keys[1, 2], 9))
    np.testing.assert_array_equal(whole[..., :4], draw(keys, 4))
