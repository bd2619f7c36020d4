"""Likelihood heads at the ends of their range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gpo_vae_jax.model import bind
from gpo_vae_jax.model.decoder import prior_effect, prior_mask
from tests.builders import configure, make_case


def decoder_of(kind: str, **changed):
    """Return the decoder of this likelihood with some parameters changed, by name."""
    case = make_case(configure({"likelihood_key": kind}))
    params = {**case.params, "decoder": {**case.params["decoder"], **changed}}
    return bind(params, case.spec).decoder


def hidden(value: float = 0.5):
    return jnp.full((2, 3, 5), value)


def test_negative_binomial_mean_and_variance_follow_from_rate_and_concentration():
    concentration = np.float32([0.2, 1, 5, 0.2, 1, 5, 2])
    given = decoder_of("library_nb", log_concentration=np.log(concentration)).distribution(
        hidden(), jnp.float32([10.0, 1e4, 0.0])
    )
    probability = np.asarray(given.rate, float) / (1 + np.asarray(given.rate, float))
    law = scipy.stats.nbinom(concentration.astype(float), probability)
    np.testing.assert_allclose(given.mean, law.mean(), rtol=1e-4)
    np.testing.assert_allclose(given.variance, law.var(), rtol=1e-4)
    np.testing.assert_allclose(given.mean.sum(-1)[0], [10.0, 1e4, 0.0], rtol=1e-4, atol=1e-3)


def test_negative_binomial_rate_has_a_floor():
    given = decoder_of("library_nb", log_concentration=jnp.full(7, -30.0)).distribution(
        hidden(), jnp.full(3, 1e6)
    )
    np.testing.assert_array_equal(given.rate, np.full((2, 3, 7), 1e-6, np.float32))


def test_poisson_rate_has_a_floor_and_is_linear_far_above_it():
    shift = np.repeat(np.float32([-60.0, 50.0]), [3, 4])
    output = {"kernel": jnp.zeros((5, 7)), "bias": jnp.asarray(shift)}
    given = decoder_of("poisson", output=output).distribution(hidden(), jnp.ones(3))
    expected = np.broadcast_to(np.where(shift < 0, 1e-6, 50.0), (2, 3, 7))
    np.testing.assert_allclose(given.mean, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("log_variance", "expected"), [(200.0, 1e6), (-200.0, 1e-4), (np.nan, 1e-6), (0.0, 1.0001)]
)
def test_normal_variance_is_limited_where_it_overflows(log_variance, expected):
    layer = {"kernel": jnp.zeros((5, 7)), "bias": jnp.full(7, log_variance)}
    given = decoder_of("normal", log_variance=layer).distribution(hidden(), jnp.ones(3))
    np.testing.assert_allclose(given.variance, np.full((2, 3, 7), expected), rtol=1e-6)


def test_fixed_variance_is_the_same_for_all_cells_and_starts_above_one():
    decoder = decoder_of("normal_fixed_variance", log_variance=jnp.zeros(7))
    given = decoder.distribution(hidden(), jnp.ones(3))
    np.testing.assert_allclose(given.variance, np.full((2, 3, 7), 1.0001), rtol=1e-6)


def test_priors_are_scipys():
    config = configure({"mask_prior": 0.05, "embedding_prior_scale": 2.0}).model
    mask, values = np.float32([0.0, 1.0]), np.float32([-3.0, 0.5])
    np.testing.assert_allclose(
        prior_mask(jnp.asarray(mask), config), scipy.stats.bernoulli.logpmf(mask, 0.05), rtol=1e-5
    )
    np.testing.assert_allclose(
        prior_effect(jnp.asarray(values), config), scipy.stats.norm.logpdf(values, 0, 2), rtol=1e-5
    )


def test_gradients_stay_finite_where_the_rate_is_at_its_floor():
    def total(log_concentration):
        decoder = decoder_of("library_nb", log_concentration=log_concentration)
        given = decoder.distribution(hidden(), jnp.float32([0.0, 1e6, 10.0]))
        return decoder.log_prob(jnp.float32(np.arange(21).reshape(3, 7)), given).sum()

    assert np.isfinite(jax.grad(total)(jnp.full(7, -13.0))).all()
