"""Calibrated probabilities of edges: a synthetic mixture whose rate is known, and properties."""

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.optimize import check_grad

from gpo_vae_jax.evaluate.network import calibration
from gpo_vae_jax.evaluate.network.calibration import (
    EffectMixture,
    calibrated,
    calls_of,
    edge_posterior,
    fit_mixture,
    pairs_to_call,
    path_scale,
    share_of_edges,
)
from gpo_vae_jax.evaluate.network.edge_calls import call_edges
from gpo_vae_jax.evaluate.network.edges import edge_probabilities
from gpo_vae_jax.evaluate.network.recovery import judged_pairs
from gpo_vae_jax.types import Sizes
from tests import builders

STEPS = 5


def learned(seed, n=60, noise=0.02, path_error=0.3, effect=0.6):
    """Return true edges, probabilities and effects of a model that makes up for wrong paths.

    A made-up edge has the size of the error of the paths beside it, and is as sure as a true one.
    """
    random = np.random.default_rng(seed)
    place = random.permutation(n)
    true = (random.random((n, n)) < 4 / n) & (place[:, None] < place[None])
    effects = true * random.choice([-1, 1], (n, n)) * random.uniform(0.5, 1.5, (n, n)) * effect
    wrong = random.standard_t(2, (n, n)) * path_error * path_scale(effects, STEPS)
    effects = np.where(true, effects, wrong) + random.normal(0, noise, (n, n))
    sure = np.abs(effects) > 3 * noise
    return true, np.where(sure, 0.99, 0.04), effects


@pytest.mark.parametrize("fdr", [0.05, 0.1, 0.2])
def test_the_stated_rate_holds_where_probabilities_are_far_too_sure(fdr):
    wrong, stated, recall, before = [], [], [], []
    for seed in range(8):
        true, probabilities, effects = learned(seed)
        pairs = judged_pairs(len(true), 50)
        calls = call_edges(calibrated(probabilities, effects, pairs, steps=STEPS), pairs, fdr)
        wrong.append(1 - true[calls.called].mean())
        stated.append(calls.stated_fdr)
        recall.append((true & calls.called).sum() / (true & pairs).sum())
        before.append(1 - true[pairs & (probabilities > 0.5)].mean())
    assert np.mean(before) > 0.3
    assert np.mean(stated) - 0.08 < np.mean(wrong) < np.mean(stated) + 0.03
    assert np.mean(recall) > 0.6


@pytest.mark.parametrize("noise", [0.001, 0.05])
def test_a_network_without_edges_has_no_calls(noise):
    random = np.random.default_rng(1)
    effects = random.normal(0, noise, (30, 30))
    posterior = calibrated(
        random.uniform(0, 0.2, (30, 30)), effects, judged_pairs(30, 20), steps=STEPS
    )
    assert call_edges(posterior, judged_pairs(30, 20), 0.2).n_called == 0


def test_effects_of_zero_are_no_edges():
    posterior = calibrated(np.full((5, 5), 0.5), np.zeros((5, 5)), judged_pairs(5, 5), steps=STEPS)
    np.testing.assert_array_equal(posterior, 0)
    assert fit_mixture(np.zeros(0), np.zeros(0)) is None


def test_the_posterior_is_a_probability_below_that_of_the_model():
    _, probabilities, effects = learned(3)
    posterior = calibrated(probabilities, effects, judged_pairs(60, 50), steps=STEPS)
    assert (posterior >= 0).all() and (posterior <= probabilities).all()
    assert posterior.max() > 0.98
    np.testing.assert_array_equal(np.diag(posterior), 0)


@pytest.mark.parametrize("path", [0.0, 0.2, 0.6])
def test_larger_effects_are_more_probable(path):
    sizes = np.linspace(0, 5, 400)
    mixture = EffectMixture(noise=0.02, path_error=0.3, size=0.3, share=0.05)
    share = share_of_edges(sizes, np.full(400, path), mixture)
    assert share[0] == 0 and share[-1] > 0.7
    assert (np.diff(share) >= -1e-9).all()
    np.testing.assert_array_equal(share, share_of_edges(-sizes, np.full(400, path), mixture))


def test_edges_beside_strong_paths_need_larger_effects():
    mixture = EffectMixture(noise=0.02, path_error=0.3, size=0.3, share=0.05)
    share = share_of_edges(np.full(3, 0.4), np.array([0.0, 0.3, 0.9]), mixture)
    assert share[0] > 0.99 > 0.9 > share[1] > 2 * share[2]


def test_other_names_of_treatments_change_nothing_else():
    _, probabilities, effects = learned(4)
    pairs = judged_pairs(60, 50)
    order = np.concatenate([np.random.default_rng(0).permutation(50), np.arange(59, 49, -1)])
    renamed = np.ix_(order, order)
    first = calibrated(probabilities, effects, pairs, steps=STEPS)
    again = calibrated(probabilities[renamed], effects[renamed], pairs, steps=STEPS)
    np.testing.assert_allclose(again, first[renamed], atol=1e-4)


def test_the_size_of_paths_by_hand():
    """Of a -> b -> c and a -> d -> c: the direct edge a -> c is no path."""
    weights = np.zeros((4, 4))
    weights[0, 1], weights[1, 2], weights[0, 3], weights[3, 2] = 0.01, 0.5, -0.02, 0.4
    weights[0, 2], weights[2, 2] = 0.03, 7.0
    size = path_scale(weights, STEPS)
    assert size[0, 2] == pytest.approx(np.hypot(0.01 * 0.5, 0.02 * 0.4), rel=0.1)
    assert size[0, 1] == size[1, 2] == size[2, 0] == 0


def test_the_gradient_of_the_fit():
    random = np.random.default_rng(2)
    x, g = np.abs(random.normal(0, 0.1, 80)), np.abs(random.normal(0, 0.3, 80))
    weight = random.dirichlet(np.ones(80))
    at = np.array([-3.0, -1.5, -1.0, -2.0])
    error = check_grad(
        lambda p: calibration._loss(p, x, g, weight)[0],
        lambda p: calibration._loss(p, x, g, weight)[1],
        at,
    )
    assert error < 1e-6


def test_densities_integrate_to_their_shares_and_errors_of_paths_are_a_t():
    mixture = EffectMixture(noise=1e-6, path_error=0.5, size=0.4, share=0.2)
    x = np.linspace(-400, 400, 1_600_001)
    edges = np.exp(calibration._present(np.abs(x), mixture))
    assert integrate.trapezoid(edges, x) == pytest.approx(0.2, rel=0.01)
    at = np.array([0.2, 0.5, 1.0, 3.0])
    absent = np.exp(calibration._absent(at, np.full(4, 2.0), mixture)[0])
    np.testing.assert_allclose(absent, 0.8 * stats.t.pdf(at, 2), rtol=0.1)


def test_a_sample_of_many_pairs_gives_the_fit_of_all(monkeypatch):
    true, probabilities, effects = learned(5, n=120)
    pairs = judged_pairs(120, 120)
    paths = path_scale(probabilities * effects, STEPS)[pairs]
    whole = fit_mixture(effects[pairs], paths)
    monkeypatch.setattr(calibration, "_LARGEST", 1000)
    monkeypatch.setattr(calibration, "_OTHERS", 1000)
    thinned = fit_mixture(effects[pairs], paths)
    assert whole is not None and thinned is not None and true.any()
    np.testing.assert_allclose(thinned, whole, rtol=0.1)
    share = share_of_edges(effects, np.zeros(effects.shape), whole)
    monkeypatch.undo()
    np.testing.assert_array_equal(share, share_of_edges(effects, np.zeros(effects.shape), whole))


def test_latent_effects_have_no_unit_and_keep_their_probabilities():
    model = builders.make_model()
    expected = edge_probabilities(model.params, spec=model.spec).astype(float)
    np.fill_diagonal(expected, 0)
    np.testing.assert_array_equal(edge_posterior(model.params, spec=model.spec), expected)


def test_calls_of_a_model_are_of_perturbed_sources_and_measured_targets():
    sizes = Sizes(n_genes=6, n_treatments=4, n_perturbed=2, network_genes=(0, 1, -1, 3))
    model = builders.make_model(sizes, effect="propagated", effect_guide="table")
    pairs = pairs_to_call(model.spec)
    assert {tuple(pair) for pair in np.argwhere(pairs)} == {(0, 1), (0, 3), (1, 0), (1, 3)}
    calls = calls_of(model.params, 1.0, spec=model.spec)
    posterior = edge_posterior(model.params, spec=model.spec)
    np.testing.assert_array_equal(calls.called, pairs & (posterior > 0.5))
