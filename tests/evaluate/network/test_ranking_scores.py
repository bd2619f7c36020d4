"""The network beside rankings of pairs that need no model."""

import numpy as np
import pytest

from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.network.baseline_rankings import RANKINGS, baseline_rankings
from gpo_vae_jax.evaluate.network.edges import adjusted_p
from gpo_vae_jax.evaluate.network.ranking_scores import explained_shares, ranking_scores
from gpo_vae_jax.evaluate.report.rankings_section import rankings_section, said
from gpo_vae_jax.statistics.two_sample import TwoSample

R, T = 4, 6


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    return TwoSample(p=rng.random((R, T)), wasserstein=rng.random((R, T)))


def test_the_highest_ranked_pairs_are_scored(tables):
    score = np.random.default_rng(1).random((T, T))
    found = ranking_scores({"model": score}, tables, 12, EvaluateConfig(p_value=0.5))["model"]
    pairs = sorted(
        ((score[a, b], a, b) for a in range(R) for b in range(T) if a != b), reverse=True
    )
    top, rest = pairs[:12], pairs[12:]
    differs = [tables.p[a, b] < 0.5 for _, a, b in top]
    assert found["n_edges"] == 12
    assert found["true_positives"] == sum(differs)
    assert found["true_positive_share"] == pytest.approx(np.mean(differs))
    distance = np.mean([tables.wasserstein[a, b] for _, a, b in top])
    assert found["mean_wasserstein"] == pytest.approx(distance)
    omitted = np.mean([tables.p[a, b] < 0.5 for _, a, b in rest])
    assert found["omitted_share"] == pytest.approx(omitted)
    assert found["truth_auprc"] is None and found["known_auprc"] is None


def test_a_ranking_by_the_truth_is_perfect(tables):
    truth = np.zeros((T, T))
    truth[0, 1], truth[2, 5], truth[3, 0] = 1.0, -2.0, 0.5
    found = ranking_scores(
        {"perfect": np.abs(truth), "none": np.zeros((T, T))}, tables, 3, EvaluateConfig(),
        truth=truth,
    )  # fmt: skip
    assert found["perfect"]["truth_auprc"] == pytest.approx(1)
    assert found["none"]["truth_auprc"] == pytest.approx(3 / (R * (T - 1)))


def test_baselines_rank_what_is_known():
    change = np.random.default_rng(2).normal(size=(T, T))
    change[R:] = np.nan
    error = np.where(np.isfinite(change), 0.5, np.nan)
    found = baseline_rankings(change, error)
    assert set(found) == set(RANKINGS)
    np.testing.assert_allclose(found["fold_change"][:R], np.abs(change[:R]))
    np.testing.assert_allclose(found["z"][:R], np.abs(change[:R]) / 0.5)
    for name in ("fold_change", "z"):
        assert (found[name][R:] == 0).all()


def test_explained_shares_of_pure_cases():
    target = np.tile(np.linspace(0, 1, T), (T, 1))
    shares = explained_shares(target, T)
    assert shares["target"] == pytest.approx(1)
    assert shares["source"] < 0.2
    turned = explained_shares(target.T, T)
    assert turned["source"] == pytest.approx(shares["target"])
    assert np.isnan(list(explained_shares(np.full((T, T), 0.5), T).values())).all()


def test_adjusted_p_is_benjamini_and_hochberg():
    change = np.array([[np.nan, 3.0, 0.1], [0.0, 1.0, np.nan], [2.0, 1.0, 0.0]])
    found = adjusted_p(change, np.ones((3, 3)))
    assert np.isnan([found[0, 0], found[1, 1], found[1, 2], found[2, 2]]).all()
    tested = np.array([found[0, 1], found[2, 0], found[2, 1], found[0, 2], found[1, 0]])
    raw = np.array([0.0027, 0.0455, 0.3173, 0.9203, 1.0])
    expected = np.minimum.accumulate((raw * 5 / np.arange(1, 6))[::-1])[::-1]
    np.testing.assert_allclose(tested, expected, atol=1e-3)


def test_the_report_says_which_rankings_the_network_beats():
    rankings = {
        name: {"truth_auprc": value, "n_edges": 12}
        for name, value in (("model", 0.9), ("fold_change", 0.5), ("ridge", 0.95), ("z", 0.895))
    }
    assert said(rankings) == (
        "By AUPRC, true network, the network beats absolute log fold change, is level with "
        "absolute z score and loses to ridge deconvolution."
    )
    section = rankings_section({"rankings": rankings})
    assert "0.950" in section.html() and "Warning" not in section.html()
    explained = {"explained": {"target": 0.98, "source": 0.01}}
    warned = rankings_section({"rankings": rankings, "network": explained}).html()
    assert "every regulator points at the same genes" in warned
    assert rankings_section({}) is None
