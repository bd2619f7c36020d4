"""Metrics of simulated data: recorded numbers, brute force, and the truth of a simulation."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gpo_vae_jax.evaluate.network.latents import (
    linear_score,
    mask_statistics,
    matched_columns,
    mean_correlation,
    truth_metrics,
)
from tests.tiny import tiny_dataset


def test_recorded_metrics_are_reproduced(golden):
    recorded = golden("simulation_metrics")
    true, estimated = recorded["mask_true"], recorded["mask_est"]
    order = matched_columns(true, estimated)
    np.testing.assert_array_equal(order, recorded["perm"])
    expected = json.loads(str(recorded["stats"]))
    assert mask_statistics(true, estimated[:, order]) == pytest.approx(expected, rel=1e-4)
    found = linear_score(recorded["z"], recorded["z_hat"])
    assert found == pytest.approx(float(recorded["linear_score"]), rel=1e-4)
    found = mean_correlation(recorded["z"], recorded["z_hat"])
    assert found == pytest.approx(float(recorded["mcc"]), rel=1e-4)


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_matching_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    true, estimated = rng.random((8, 4)) < 0.4, rng.random((8, 5)) < 0.4
    shared = (true & estimated[:, matched_columns(true, estimated)]).sum()
    orders = itertools.permutations(range(5), 4)
    assert shared == max((true & estimated[:, list(order)]).sum() for order in orders)


def test_shuffled_columns_are_found_again():
    rng = np.random.default_rng(0)
    true = rng.random((30, 6)) < 0.4
    order = rng.permutation(6)
    estimated = np.empty_like(true)
    estimated[:, order] = true
    np.testing.assert_array_equal(matched_columns(true, estimated), order)
    with pytest.raises(ValueError, match="6 true columns and only 4"):
        matched_columns(true, estimated[:, :4])


def test_statistics_of_empty_masks_are_nan():
    none, some = np.zeros((2, 2), bool), np.eye(2, dtype=bool)
    assert np.isnan(mask_statistics(some, none)["precision"])
    assert np.isnan(mask_statistics(none, some)["recall"])
    assert np.isnan(mask_statistics(none, none)["f1"])
    assert mask_statistics(some, some) == {"precision": 1, "recall": 1, "f1": 1}


def test_linear_maps_of_the_truth_score_one_and_noise_about_zero():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(400, 3))
    true[:, 1] = 2.0  # does not vary: left out
    assert linear_score(true, true @ rng.normal(size=(3, 3)) + 5) == pytest.approx(1)
    assert linear_score(true, rng.normal(size=(400, 3))) < 0.05
    assert np.isnan(linear_score(np.ones((5, 2)), rng.normal(size=(5, 2))))


def test_correlation_ignores_order_sign_and_scale_but_not_constants():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(50, 3))
    assert mean_correlation(true, -3 * true[:, [2, 0, 1]] + 1) == pytest.approx(1)
    flat = true.copy()
    flat[:, 0] = 1.0
    assert mean_correlation(true, flat) == pytest.approx(2 / 3)
    assert mean_correlation(true, true[:, :2]) == pytest.approx(1)  # two pairs


def test_correlation_is_that_of_the_best_matching():
    rng = np.random.default_rng(1)
    true, estimated = rng.normal(size=(2, 20, 4))
    means = [
        np.mean([abs(stats.pearsonr(a, b).statistic) for a, b in zip(true.T, other, strict=True)])
        for other in itertools.permutations(estimated.T)
    ]
    assert mean_correlation(true, estimated) == pytest.approx(max(means))


@pytest.fixture
def simulated():
    """Return the tiny data set with a true network of its 3 perturbed and 2 other treatments."""
    network = np.zeros((5, 5))
    network[0, 1], network[0, 4], network[2, 3], network[4, 0] = 0.5, -0.5, 1.0, 1.0
    effects = {f"T{i}": np.eye(5)[i] + network[i] for i in range(3)} | {"ctrl": np.zeros(5)}
    return dataclasses.replace(tiny_dataset(), true_network=network, true_effects=effects)


def test_truth_found_exactly(simulated):
    probabilities = 0.9 * (simulated.true_network != 0) + 0.9 * np.eye(5)
    found = truth_metrics(probabilities, simulated, simulated.true_effects)
    one = {"precision": 1, "recall": 1, "f1": 1}
    assert (found["auprc"], found["auroc"]) == (1, 1)
    assert (found["n_true"], found["n_possible"]) == (3, 12)
    assert found["random_auprc"] == pytest.approx(3 / 12)
    assert found["mask"] == found["matched_mask"] == one
    # 4 labels span 3 dimensions: a fit would be exact whatever was learned.
    assert found["linear_score"] is None
    assert found["mean_correlation"] == pytest.approx(1)


def test_matched_mask_forgives_an_order_that_the_mask_does_not(simulated):
    probabilities = np.zeros((5, 5))
    probabilities[:, [0, 2, 1, 4, 3]] = 0.9 * (simulated.true_network != 0)
    found = truth_metrics(probabilities, simulated)
    assert found["mask"]["f1"] < found["matched_mask"]["f1"]
    assert found["mean_correlation"] is None


def test_linear_score_where_the_labels_allow_it(simulated):
    rng = np.random.default_rng(0)
    labels = [f"L{i}" for i in range(30)]
    estimated = {k: rng.normal(size=5) for k in labels}
    mixing = rng.normal(size=(5, 4))
    true = {k: v @ mixing for k, v in estimated.items()} | {"unseen": np.ones(4)}
    dataset = dataclasses.replace(simulated, true_effects=true)
    found = truth_metrics(np.full((5, 5), 0.1), dataset, estimated)
    assert found["linear_score"] == pytest.approx(1)
    noise = {k: rng.normal(size=5) for k in labels}
    assert truth_metrics(np.full((5, 5), 0.1), dataset, noise)["linear_score"] < 0.5


def test_real_data_has_no_truth():
    assert truth_metrics(np.zeros((5, 5)), tiny_dataset()) is None


def test_network_without_true_edges_is_not_ranked(simulated):
    empty = dataclasses.replace(simulated, true_network=np.zeros((5, 5)), true_effects=None)
    found = truth_metrics(np.full((5, 5), 0.9), empty)
    assert found["auprc"] is None and found["n_true"] == 0
    assert found["mask"]["precision"] == 0 and np.isnan(found["mask"]["recall"])
