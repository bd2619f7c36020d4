"""Log-densities against scipy, and the gradients of clamps and relaxed samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.types import Posterior
from tests.float64 import run_in_float64


def test_negative_binomial_is_scipys():
    x = np.array([[0, 1, 7, 150], [3, 0, 2, 5000]], np.float32)  # [B, G]
    concentration = np.array([0.05, 1.0, 30.0, 2.5], np.float32)
    rate = np.array([[[0.01, 0.5, 4.0, 20.0]], [[1e-3, 2.0, 0.1, 6e-4]]], np.float32)  # [P, 1, G]
    ours = dist.negative_binomial_gammas(x, concentration[None])[None]
    ours = ours + dist.negative_binomial_rate_terms(x[None], rate, concentration[None, None])
    expected = scipy.stats.nbinom.logpmf(x, concentration.astype(float), rate / (1.0 + rate))
    np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=1e-5)


def test_poisson_is_scipys():
    x, rate = np.array([0.0, 3.0, 250.0]), np.array([1e-6, 2.5, 199.0])
    np.testing.assert_allclose(
        dist.poisson_log_prob(jnp.float32(x), jnp.float32(rate)),
        scipy.stats.poisson.logpmf(x, rate),
        rtol=1e-5,
        atol=1e-6,
    )


def test_gaussian_takes_a_variance_not_a_deviation():
    x, variance = np.array([-3.0, 0.0, 2.0]), np.array([0.01, 1.0, 9.0])
    expected = scipy.stats.norm.logpdf(x, 0.5, np.sqrt(variance))
    np.testing.assert_allclose(
        dist.gaussian_log_prob(jnp.float32(x), 0.5, jnp.float32(variance)), expected, rtol=1e-5
    )


def test_log_prob_of_a_sample_is_that_of_its_noise():
    posterior = Posterior(jnp.float32([1.0, -2.0, 0.3]), jnp.float32([0.2, 3.0, 1e-2]))
    noise = jnp.float32([0.0, -1.5, 2.0])
    sample = dist.gaussian_sample(posterior, noise)
    expected = scipy.stats.norm.logpdf(
        np.asarray(sample, float), posterior.mean, np.sqrt(posterior.variance)
    )
    ours = dist.gaussian_sample_log_prob(posterior, noise)
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_bernoulli_is_scipys_and_finite_at_large_logits():
    logits, x = np.array([-2.0, 0.0, 0.7, 90.0, -90.0]), np.array([1, 0, 1, 0, 1])
    expected = np.where(x == 1, -np.logaddexp(0, -logits), -np.logaddexp(0, logits))
    np.testing.assert_allclose(
        expected[:3], scipy.stats.bernoulli.logpmf(x, scipy.special.expit(logits))[:3]
    )
    ours = dist.bernoulli_log_prob(jnp.float32(x), jnp.float32(logits))
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


@pytest.mark.parametrize("exact", [True, False])
def test_gaussian_divergence_divides_the_distance_only_when_exact(exact):
    p, q = Posterior(0.5, 0.3), Posterior(-1.0, 2.0)
    distance = 1.5**2 / (2.0 if exact else 1.0)
    expected = 0.5 * (np.log(2.0 / 0.3) + 0.3 / 2.0 + distance - 1)
    ours = dist.gaussian_divergence(*(jax.tree.map(jnp.float32, value) for value in (p, q)), exact)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_exact_divergence_is_the_expected_log_ratio():
    p, q = Posterior(0.5, 0.3), Posterior(-1.0, 2.0)
    x = np.linspace(-8, 9, 20001)
    density = scipy.stats.norm.pdf(x, 0.5, 0.3**0.5)
    ratio = scipy.stats.norm.logpdf(x, 0.5, 0.3**0.5) - scipy.stats.norm.logpdf(x, -1.0, 2.0**0.5)
    expected = (density * ratio).sum() * (x[1] - x[0])
    ours = dist.gaussian_divergence(
        *(jax.tree.map(jnp.float32, value) for value in (p, q)), exact=True
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_clamp_limits_and_has_gradient_one_on_the_limits_and_zero_outside():
    x = jnp.float32([-0.5, 0.0, 0.4, 1.0, 1.5])
    values, pull = jax.vjp(lambda x: dist.clamp(x, 0, 1), x)
    np.testing.assert_array_equal(values, jnp.float32([0.0, 0.0, 0.4, 1.0, 1.0]))
    np.testing.assert_array_equal(pull(jnp.ones(5))[0], [0, 1, 1, 1, 0])
    one_sided = jax.grad(lambda x: dist.clamp(x, low=0.5).sum())(x)
    np.testing.assert_array_equal(one_sided, [0, 0, 0, 1, 1])


def test_logits_from_probs_stay_finite_and_invert_the_sigmoid():
    probs = jnp.float32([0.0, 1e-3, 0.3, 0.9, 1.0])
    logits = dist.logits_from_probs(probs)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(
        logits[1:4], scipy.special.logit(np.asarray(probs[1:4], float)), 1e-5
    )
    eps = np.finfo(np.float32).eps
    np.testing.assert_allclose(logits[0], np.log(eps), rtol=1e-5)
    np.testing.assert_allclose(logits[-1], -np.log(eps), rtol=1e-2)


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_relaxed_bernoulli_is_hard_forwards_and_soft_backwards(temperature):
    logits = jnp.float32([[-1.0, 0.0, 0.4, 30.0, -30.0]])
    noise = jnp.float32([[3.0, -0.1, 0.3, 1.0, 1.0], [0.5, 0.1, -0.5, -1.0, 2.0]])
    values, pull = jax.vjp(lambda x: dist.relaxed_bernoulli(x, noise, temperature), logits)
    np.testing.assert_array_equal(values, (np.asarray(logits + noise) > 0).astype(np.float32))
    weights = jnp.float32(np.arange(10).reshape(2, 5))
    soft = scipy.special.expit(np.asarray(logits + noise, float) / temperature)
    expected = (np.asarray(weights) * soft * (1 - soft) / temperature).sum(0, keepdims=True)
    np.testing.assert_allclose(pull(weights)[0], expected, rtol=1e-4, atol=1e-6)


def test_gradients_of_samples_equal_autodiff_in_float64():
    run_in_float64("""
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.types import Posterior
rng = np.random.default_rng(0)
mean, noise, logits, weight = (jnp.asarray(rng.normal(size=(2, 3, 5))) for _ in range(4))
variance, of_rows = jnp.asarray(rng.uniform(1e-4, 3, (2, 3, 5))), weight[..., 0]
def plain(posterior, noise):
    density = dist.gaussian_sample_log_prob(posterior, noise).sum(-1)
    return dist.gaussian_sample(posterior, noise), density
def plain_of_first(posterior, noise):
    sample, density = plain(posterior, noise)
    return sample, density.at[1:].set(0)
def ours_of_first(posterior, noise):
    sample, density = dist.gaussian_sampled(posterior, noise, 1)
    return sample, jnp.pad(density, ((0, len(noise) - 1), (0, 0)))
def plain_mask(logits, noise):
    soft = jax.nn.sigmoid((logits + noise) / 0.3)
    return (soft > 0.5) + soft - jax.lax.stop_gradient(soft)
def gradients(function, *arguments):
    def total(*arguments):
        result = function(*arguments)
        sample, density = result if isinstance(result, tuple) else (result, 0)
        return (sample * weight).sum() + (of_rows * density).sum()
    numbers = tuple(range(len(arguments)))
    return jax.tree.leaves(jax.value_and_grad(total, numbers)(*arguments))
for ours, expected, arguments in (
    (lambda *a: dist.gaussian_sampled(*a, len(noise)), plain, (Posterior(mean, variance), noise)),
    (ours_of_first, plain_of_first, (Posterior(mean, variance), noise)),
    (lambda *a: dist.relaxed_bernoulli(*a, 0.3), plain_mask, (logits[:1], noise)),
):
    found = zip(gradients(ours, *arguments), gradients(expected, *arguments), strict=True)
    for a, b in found:
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
""")
