"""Cells that escape their perturbation: shares, their prior, and the mixture of every head."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from gpo_vae_jax.model import bind
from gpo_vae_jax.model.heads import HEADS
from tests.builders import NETWORK_SIZES, PROPAGATED, PROPAGATED_OBJECTIVE, configure, make_case


def made(**model):
    settings = {**PROPAGATED, "escape_prior": 0.2, **model}
    return make_case(configure(settings, PROPAGATED_OBJECTIVE), NETWORK_SIZES, n_cells=30)


def test_a_combination_acts_with_the_product_and_a_control_always():
    case = made()
    efficacy = bind(case.params, case.spec).decoder.efficacy
    cells = case.batch._replace(
        perturbation=jnp.array([[0, 1], [0, 1], [1, 1]]),
        dosage=jnp.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]),
    )
    pi = np.asarray(efficacy.shares())
    log_shares = np.asarray(efficacy.log_shares(cells))
    np.testing.assert_allclose(np.exp(log_shares[:, 0]), [pi[0] * pi[1], pi[0], 1], rtol=1e-5)
    np.testing.assert_allclose(np.exp(log_shares).sum(1), 1, atol=1e-5)
    mean = jax.nn.sigmoid(case.params["decoder"]["efficacy"]["mean_logit"])
    np.testing.assert_allclose(pi[3], mean, rtol=1e-6)  # no cell has the fourth


def test_the_prior_of_the_shares_is_a_density_around_their_mean():
    """It integrates to the same over a share whatever the mean is."""
    case = made()
    efficacy = case.params["decoder"]["efficacy"]

    def total(mean_logit):
        def density(share):
            logits = jnp.full(3, jnp.log(share / (1 - share)))
            params = {**efficacy, "logits": logits, "mean_logit": jnp.float32(mean_logit)}
            decoder = {**case.params["decoder"], "efficacy": params}
            model = bind({**case.params, "decoder": decoder}, case.spec)
            flat = 0.8 * jax.nn.log_sigmoid(mean_logit) + 0.2 * jax.nn.log_sigmoid(-mean_logit)
            return float(jnp.exp((model.decoder.efficacy.log_prior() - 2 * flat) / 3))

        return integrate.quad(density, 1e-4, 1 - 1e-4, limit=60, epsabs=1e-3)[0]

    np.testing.assert_allclose([total(m) for m in (-1.0, 0.5, 2.0)], 1, rtol=5e-3)


@pytest.mark.parametrize("head", HEADS)
def test_the_mixture_lies_between_its_two_parts_in_every_head(head):
    """Training, which may compute it in one pass, and evaluation agree, gradients included."""
    case = made(likelihood_key=head)
    basal, batch = case.noise.basal, case.batch
    weight = jnp.linspace(0.1, 1, 30)

    def parts(params):
        model = bind(params, case.spec)
        shared = model.guide.sample_shared(case.noise.shared)
        effects = model.guide.effects(shared, batch)
        hidden = model.decoder.hidden(basal, effects, shared.quality, jnp.zeros(30))
        return model.decoder, hidden, model.decoder.change(effects)

    decoder, hidden, change = parts(case.params)
    mixture = decoder.log_likelihood(hidden, batch, change)
    plain = dataclasses.replace(
        case.spec, model=dataclasses.replace(case.spec.model, escape_prior=0.0)
    )
    always = bind(case.params, plain).decoder
    acting, escaped = (
        always.log_likelihood(hidden, batch, of) for of in (change, jnp.zeros_like(change))
    )
    low, high = np.minimum(acting, escaped), np.maximum(acting, escaped)
    slack = 1e-4 * np.abs(high)
    assert (mixture >= low - slack).all() and (mixture <= high + slack).all()
    share = np.exp(np.asarray(decoder.efficacy.log_shares(batch)))
    acting, escaped = np.asarray(acting), np.asarray(escaped)
    expected = np.logaddexp(acting + np.log(share[:, 0]), escaped + np.log(share[:, 1]))
    np.testing.assert_allclose(mixture, expected, rtol=1e-5)

    def of_training(params):
        decoder, hidden, change = parts(params)
        return decoder.weighted_log_likelihood(hidden, batch, weight, change)

    def of_evaluation(params):
        decoder, hidden, change = parts(params)
        return jnp.sum(weight[None] * decoder.log_likelihood(hidden, batch, change))

    ours, theirs = (jax.value_and_grad(f)(case.params) for f in (of_training, of_evaluation))
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
    for a, b in zip(jax.tree.leaves(ours[1]), jax.tree.leaves(theirs[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4 * float(jnp.abs(b).max() + 1e-3))
