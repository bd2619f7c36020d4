"""Calls at an expected false discovery rate, and stated probabilities against observed shares."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpo_vae_jax.evaluate.knowledge import PlacedNetwork
from gpo_vae_jax.evaluate.network.edge_calls import (
    against,
    calibration_against,
    call_edges,
    reliability,
)
from gpo_vae_jax.evaluate.network.recovery import judged_pairs

PAIRS = judged_pairs(4, 3)


@given(st.lists(st.floats(0, 1), min_size=16, max_size=16), st.floats(0, 1))
def test_the_most_edges_within_the_rate(values, fdr):
    posterior = np.round(np.array(values).reshape(4, 4), 1)  # some are equal
    calls = call_edges(posterior, PAIRS, fdr)
    assert not (calls.called & ~PAIRS).any()
    if calls.n_called:
        stated = float((1 - posterior[calls.called]).mean())
        assert stated == pytest.approx(calls.stated_fdr) and stated <= fdr + 1e-8
        assert calls.least == posterior[calls.called].min()
        assert calls.least > posterior[PAIRS & ~calls.called].max(initial=-1)
    rest = posterior[PAIRS & ~calls.called]
    if calls.n_called:
        assert calls.least > 0.5
    if rest.size and rest.max() > 0.5:  # no larger set keeps the rate
        more = posterior[PAIRS & (posterior >= rest.max())]
        assert (1 - more).mean() > fdr - 1e-12


def test_nothing_to_call():
    calls = call_edges(np.zeros((4, 4)), PAIRS, 0.5)
    assert calls.n_called == 0 and math.isnan(calls.stated_precision) and calls.least == 1
    assert call_edges(np.ones((4, 4)), np.zeros((4, 4), bool), 0.5).n_called == 0


def test_edges_of_equal_posterior_are_called_together():
    posterior = np.zeros((4, 4))
    posterior[0, 1], posterior[0, 2], posterior[1, 3] = 1.0, 0.7, 0.7
    assert call_edges(posterior, PAIRS, 0.16).n_called == 1  # one of both would keep the rate
    assert call_edges(posterior, PAIRS, 0.2).n_called == 3


def test_reliability_by_hand():
    stated = np.array([0.0, 0.04, 0.95, 1.0, 0.55])
    found = reliability(stated, np.array([False, False, True, False, True]))
    assert set(found) == {"expected_calibration_error", "bin_1", "bin_6", "bin_10"}
    assert found["bin_1"] == {"n_pairs": 2, "stated": pytest.approx(0.02), "observed": 0}
    assert found["bin_10"] == {"n_pairs": 2, "stated": pytest.approx(0.975), "observed": 0.5}
    error = (2 * 0.02 + 2 * 0.475 + 0.45) / 5
    assert found["expected_calibration_error"] == pytest.approx(error)
    assert math.isnan(reliability(np.zeros(0), np.zeros(0, bool))["expected_calibration_error"])


def test_probabilities_that_mean_what_they_say_have_no_error():
    random = np.random.default_rng(0)
    stated = random.random(200_000)
    true = random.random(200_000) < stated
    assert reliability(stated, true)["expected_calibration_error"] < 0.01
    sure = reliability(np.sqrt(stated), true)["expected_calibration_error"]
    assert sure == pytest.approx(1 / 6, abs=0.01)


def test_calls_against_a_network():
    posterior = np.zeros((4, 4))
    posterior[0, 1], posterior[1, 3], posterior[2, 0] = 0.9, 0.9, 0.9
    truth = np.zeros((4, 4))
    truth[0, 1], truth[1, 3], truth[1, 2], truth[3, 0] = 1, -1, 1, 1  # row 3 is not perturbed
    calls = call_edges(posterior, PAIRS, 0.1)
    found = against(calls, posterior, truth, PAIRS)
    assert (found["precision"], found["recall"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert found["posterior"] == found["probability"]
    known = PlacedNetwork("union", truth != 0, np.zeros((4, 4), np.int8), np.ones(4, bool))
    whole = calibration_against(calls, posterior, None, [known], PAIRS, calibrated=False)
    assert whole["n_called"] == 3 and whole["stated_precision"] == pytest.approx(0.9)
    assert whole["truth"] is None and whole["known_networks"] == found
    assert whole["stated_by"] == "probability"
