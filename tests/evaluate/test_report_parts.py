"""The parts of the report: numbers as text, choices of what is drawn, and layouts."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gpo_vae_jax.evaluate.network.edges import ranked_edges
from gpo_vae_jax.evaluate.report import wording as text
from gpo_vae_jax.evaluate.report.effect_plots import binned
from gpo_vae_jax.evaluate.report.markup import Markup, element, joined, table
from gpo_vae_jax.evaluate.report.network_plot import hub_edges, layout
from gpo_vae_jax.evaluate.report.overview import judge
from gpo_vae_jax.evaluate.report.prediction_section import row_correlations, strongest_perturbations
from tests.evaluate.report_example import example


@pytest.mark.parametrize(
    "value, digits, shown",
    [
        (0.1234, 3, "0.123"),
        (-12345.6, 1, "−12,345.6"),
        (0.00001, 3, "1.0e−05"),
        (0.0, 3, "0.000"),
        (float("nan"), 3, "–"),
        (float("inf"), 3, "–"),
        (None, 3, "–"),
        ("x", 3, "–"),
        (np.float32(0.5), 2, "0.50"),
    ],
)
def test_numbers(value, digits, shown):
    assert text.number(value, digits) == shown


def test_shares_and_counts():
    assert [text.share(x) for x in (0, 0.042, 0.5, 0.999, 1, None)] == [
        *("0.0 %", "4.2 %", "50 %", "99.9 %", "100 %", "–"),
    ]
    assert text.plural(0, "edge") == "no edges"
    assert text.plural(1, "edge") == "1 edge"
    assert text.plural(1234, "edge") == "1,234 edges"
    assert text.ratio(1, 0) is None
    assert text.ratio(1, float("nan")) is None
    assert text.ratio(1, 4) == 0.25


@given(st.text(), st.integers(2, 30))
def test_names_fit_and_stay_on_one_line(value, longest):
    short = text.name(value, longest)
    assert 1 <= len(short) <= longest
    assert "\n" not in short and "\x00" not in short
    whole = text.name(value)
    assert short == whole if len(whole) <= longest else "…" in short


@given(st.text())
def test_text_is_escaped_everywhere(value):
    inside = element("p", value, title=value)
    assert inside.count("<") == 2 and inside.count(">") == 2
    assert inside.count('"') == 2
    assert joined([Markup("<b>"), "<b>"]) == "<b>&lt;b&gt;"


def test_a_row_that_does_not_fit_its_header_is_refused():
    with pytest.raises(ValueError):
        table("c", ["a", "b"], [["only one"]])


@pytest.mark.parametrize(
    "model, baseline, kind",
    [
        (0.5, 0.6, "below"),
        (0.7, 0.6, "above"),
        (0.6, 0.6, "even"),
        (None, 0.6, "unknown"),
        (0.6, None, "unknown"),
    ],
)
def test_verdict(model, baseline, kind):
    metrics = {"model": {"pearson": model}, "train_mean": {"pearson": baseline}}
    assert judge({"effects": {"perturbseq": {"held_out": metrics}}})[0] == kind


def test_a_model_below_the_global_mean_is_told_so():
    metrics = {who: {"pearson": r} for who, r in (("model", 0.3), ("global_mean", 0.4))}
    said = judge({"effects": {"perturbseq": {"held_out": metrics}}})[1]
    assert "below that too" in said


def test_every_pair_is_counted_once_where_it_lies():
    random = np.random.default_rng(0)
    observed, predicted = random.normal(size=(2, 7, 31))
    observed[0, 0] = np.nan
    counts, edges = binned(predicted, observed, 5.0)
    there = np.isfinite(observed)
    expected = np.histogram2d(predicted[there], observed[there], bins=[edges, edges])[0]
    np.testing.assert_array_equal(counts, expected)
    assert counts.sum() == there.sum()


def test_correlations_of_rows_are_pearsons_over_what_both_have():
    random = np.random.default_rng(1)
    predicted, observed = random.normal(size=(2, 5, 20))
    predicted[0, 3], observed[0, 4] = np.nan, np.inf
    observed[1], predicted[2] = 1.0, np.nan
    found = row_correlations(predicted, observed)
    both = np.isfinite(predicted[0]) & np.isfinite(observed[0])
    assert math.isclose(found[0], stats.pearsonr(predicted[0][both], observed[0][both])[0])
    assert np.isnan(found[[1, 2]]).all()
    for row in (3, 4):
        assert math.isclose(found[row], stats.pearsonr(predicted[row], observed[row])[0])


def test_strongest_perturbations_come_in_the_order_of_their_effects():
    effects = example(n_perturbed=30).effects
    size = np.linalg.norm(effects.reference["perturbseq"], axis=1)
    assert strongest_perturbations(effects, "perturbseq", 12) == list(np.argsort(-size)[:12])


@settings(max_examples=20)
@given(st.integers(2, 40), st.integers(0, 1000), st.floats(0.0, 0.9))
def test_hubs_keep_their_edges_and_none_is_made_up(n, seed, level):
    names = [f"g{i}" for i in range(n)]
    values = np.random.default_rng(seed).random((n, n)) * (1 - level)
    edges = ranked_edges(values, names, n // 2 + 1)
    chosen = hub_edges(edges)
    assert 1 <= len(chosen) <= 60
    assert chosen["source"].nunique() <= 8
    pairs = set(zip(edges["source"], edges["target"], strict=True))
    assert set(zip(chosen["source"], chosen["target"], strict=True)) <= pairs
    assert not chosen.duplicated(["source", "target"]).any()
    if edges["above_threshold"].any():
        assert chosen["above_threshold"].all()
        called = edges[edges["above_threshold"]]
        assert called["source"].value_counts().index[0] in set(chosen["source"]) or (
            called["source"].value_counts().iloc[0] == called["source"].value_counts().iloc[-1]
        )


@pytest.mark.parametrize("seed", range(4))
def test_nodes_do_not_overlap_and_stay_inside(seed):
    random = np.random.default_rng(seed)
    pairs = [(i % 8, int(t)) for i, t in enumerate(random.integers(8, 60, 60))]
    used = sorted({node for pair in pairs for node in pair})
    index = {node: i for i, node in enumerate(used)}
    pairs = [(index[a], index[b]) for a, b in dict.fromkeys(pairs)]
    boxes = np.stack([random.uniform(40, 140, len(used)), np.full(len(used), 24.0)], axis=1)
    size = (1000.0, 780.0)
    places = layout(pairs, boxes, size, seed=0)
    assert (places - boxes / 2 >= 0).all() and (places + boxes / 2 <= size).all()
    first, second = np.triu_indices(len(used), 1)
    gap = np.abs(places[first] - places[second]) - (boxes[first] + boxes[second]) / 2
    assert (gap.max(axis=1) > 0).all()
    np.testing.assert_array_equal(places, layout(pairs, boxes, size, seed=0))


def test_one_node_stands_alone():
    places = layout([(0, 1)], np.full((2, 2), 20.0), (300.0, 200.0), seed=0)
    assert np.isfinite(places).all() and np.abs(places[0] - places[1]).max() > 20


def test_no_edges_choose_nothing():
    nothing = ranked_edges(np.zeros((1, 1)), ["a"], 1)
    assert len(hub_edges(nothing)) == 0
    assert isinstance(nothing, pd.DataFrame)
