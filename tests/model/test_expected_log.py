"""Expected log-transformed counts against sums over all counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gpo_vae_jax.model.expected_log import expected_log1p
from gpo_vae_jax.model.heads.library_nb import LibraryNB, NegativeBinomial
from gpo_vae_jax.model.heads.poisson import Poisson, Rates

logs = st.floats(-2.0, 1.0)


@jax.jit
def of_negative_binomial(mean, theta, scale):
    rate = (theta / mean)[None, None, None]
    found = NegativeBinomial(mean[None, None, None], mean[None, None, None], rate, theta[None])
    head = LibraryNB()
    value = expected_log1p(
        lambda u: head.laplace_transform(found, u), found.mean, scale[None, None, None]
    )
    return value[0, 0, 0]


@given(st.floats(-3.0, 3.0), logs, st.floats(0.0, 2.0))
@settings(max_examples=60, deadline=None)
def test_negative_binomial_by_summation(log_mean, log_theta, log_scale):
    mean, theta, scale = 10**log_mean, 10**log_theta, 10**log_scale
    law = stats.nbinom(theta, theta / (theta + mean))
    x = np.arange(int(law.isf(1e-9)) + 2)
    exact = (law.pmf(x) * np.log1p(scale * x)).sum()
    found = of_negative_binomial(*map(jnp.float32, (mean, theta, scale)))
    np.testing.assert_allclose(found, exact, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("mean", [1e-3, 0.3, 5.0, 400.0])
@pytest.mark.parametrize("scale", [0.5, 20.0])
def test_poisson_by_summation(mean, scale):
    x = np.arange(2000)
    exact = (stats.poisson(mean).pmf(x) * np.log1p(scale * x)).sum()
    rates, head = Rates(jnp.full((1, 1, 1), mean)), Poisson()
    found = expected_log1p(
        lambda u: head.laplace_transform(rates, u), rates.mean, jnp.full((1, 1, 1), scale)
    )
    np.testing.assert_allclose(found[0, 0, 0], exact, rtol=2e-4, atol=2e-5)
