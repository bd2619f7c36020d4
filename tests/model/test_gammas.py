"""Gamma functions of counts, against scipy's."""

import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from gpo_vae_jax.model.gammas import digamma, log_gamma, log_gammas


def test_zero_counts_add_exactly_nothing():
    theta = jnp.exp(jnp.linspace(-10, 10, 50))[None]
    assert (log_gammas(jnp.zeros((1, 50)), theta) == 0).all()


@settings(max_examples=50)
@given(y=st.floats(2**-20, 2**20, width=32))
def test_gamma_functions_are_scipys(y):
    y = np.float32(y)
    close = {"rtol": 2e-6, "atol": 3e-6}
    np.testing.assert_allclose(log_gamma(jnp.float32(y)), special.gammaln(float(y)), **close)
    np.testing.assert_allclose(digamma(jnp.float32(y)), special.digamma(float(y)), **close)
