"""The agreement of effects: recorded numbers, plain definitions, and what is left out."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpo_vae_jax.evaluate.effects.effect_metrics import effect_metrics
from gpo_vae_jax.evaluate.effects.effect_scores import strongest_genes
from tests.evaluate.effects.test_model_effects import observed

RECORDED = {
    "pearson": "ATE_pearsonr",
    "r2": "ATE_r2",
    "pearson_top": "ATE_pearsonr_top20",
    "r2_top": "ATE_r2_top20",
    "jaccard_20": "jaccard_sim_top20",
    "jaccard_50": "jaccard_sim_top50",
}


@pytest.mark.parametrize("transform", ["mean", "perturbseq"])
def test_recorded_effects_and_metrics(golden, transform):
    case = golden("eval_ate")
    names, effects = observed(case["X"], case["T"].astype(str))
    at = [names.index(str(label)) for label in case[f"ate_{transform}_labels"]]
    ours = effects[transform][at]
    np.testing.assert_allclose(ours, case[f"ate_{transform}"], rtol=1e-4, atol=1e-5)
    found = effect_metrics(ours, case[f"model_ate_{transform}"])
    recorded = json.loads(str(case[f"metrics_{transform}"]))
    assert set(recorded) == set(RECORDED.values())
    assert set(found) == {*RECORDED, "pearson_each", "pearson_spread", "rank"}
    for name, value in found.items():
        if name not in RECORDED:
            continue
        assert value == pytest.approx(recorded[RECORDED[name]], rel=1e-4), name


def test_plain_definitions():
    rng = np.random.default_rng(0)
    data, other = rng.normal(size=(2, 4, 30))
    found = effect_metrics(data, other, top=5, top_sets=(3,))
    assert found["pearson"] == pytest.approx(np.corrcoef(data.ravel(), other.ravel())[0, 1])
    residual = ((data - other) ** 2).sum() / ((data - data.mean()) ** 2).sum()
    assert found["r2"] == pytest.approx(1 - residual)
    overlap = []
    for a, b in zip(data, other, strict=True):
        first, second = (set(np.argsort(-abs(v))[:3]) for v in (a, b))
        overlap.append(len(first & second) / len(first | second))
    assert found["jaccard_3"] == pytest.approx(np.mean(overlap))
    each = [np.corrcoef(a, b)[0, 1] for a, b in zip(data, other, strict=True)]
    assert found["pearson_each"] == pytest.approx(np.mean(each))
    assert found["pearson_spread"] == pytest.approx(np.std(each, ddof=1))
    perfect = effect_metrics(data, data, top_sets=(20, 50))
    assert perfect.pop("pearson_spread") == pytest.approx(0, abs=1e-12)
    assert perfect.pop("rank") == 0
    assert all(value == pytest.approx(1) for value in perfect.values())


def test_perturbations_without_effects_are_left_out():
    data, other = np.random.default_rng(0).normal(size=(2, 5, 12))
    some = effect_metrics(data[1:4], other[1:4])
    data[0], other[4] = np.nan, np.nan
    assert effect_metrics(data, other) == some


def test_what_is_not_defined_is_nan():
    nothing = effect_metrics(np.full((2, 9), np.nan), np.ones((2, 9)))
    assert all(np.isnan(value) for value in nothing.values())
    constant = effect_metrics(np.random.default_rng(0).normal(size=(2, 9)), np.ones((2, 9)))
    assert np.isnan(constant["pearson"]) and constant["r2"] < 0


def test_first_of_equal_effects_counts_as_larger():
    assert strongest_genes(np.array([[1.0, -2, 2, 2, 0]]), 2).tolist() == [[1, 2]]


def test_the_rank_counts_predictions_of_others_that_are_nearer():
    observed = np.array([[0.0, 0], [4, 0], [0, 8]])
    predicted = np.array([[3.0, 0], [1, 0], [0, 7]])
    # of row 0, row 1's prediction is nearer; of row 1, row 0's; of row 2, none
    assert effect_metrics(observed, predicted)["rank"] == pytest.approx((0.5 + 0.5 + 0) / 3)
    same = np.ones((3, 2))
    assert effect_metrics(observed, same)["rank"] == pytest.approx(0.5)
    assert np.isnan(effect_metrics(observed[:1], predicted[:1])["rank"])


@given(st.integers(0, 50))
def test_the_rank_of_each_row_is_that_of_plain_distances(seed):
    observed, predicted = np.random.default_rng(seed).normal(size=(2, 6, 4))
    ranks = []
    for i in range(6):
        distance = [np.linalg.norm(predicted[j] - observed[i]) for j in range(6)]
        ranks.append(np.mean([distance[j] < distance[i] for j in range(6) if j != i]))
    assert effect_metrics(observed, predicted)["rank"] == pytest.approx(np.mean(ranks))


def test_the_overlap_looks_at_as_many_genes_as_respond():
    observed = np.array([[5.0, -4, 0.1, 0.2, 0], [0.1, 0, 0, 0, 0.1]])
    error = np.full((2, 5), 0.5)
    predicted = np.array([[1.0, 0.1, 3, 0, 0], [1, 2, 3, 4, 5]])
    found = effect_metrics(observed, predicted, error=error)
    assert found["de_overlap"] == pytest.approx(0.5)  # genes 0 and 1 respond; 2 and 0 are predicted
    assert np.isnan(effect_metrics(observed[1:], predicted[1:], error=error[1:])["de_overlap"])
    assert "de_overlap" not in effect_metrics(observed, predicted)
