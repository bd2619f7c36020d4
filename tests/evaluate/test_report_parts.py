"""The parts of the report: numbers as text, choices of what is drawn, and layouts."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpo_vae_jax.evaluate.network.edges import ranked_edges
from gpo_vae_jax.evaluate.report import wording as text
from gpo_vae_jax.evaluate.report.effect_plots import binned
from gpo_vae_jax.evaluate.report.effects_section import strongest_perturbations
from gpo_vae_jax.evaluate.report.markup import Markup, element, joined, table
from gpo_vae_jax.evaluate.report.network_plot import hub_edges, layout
from tests.evaluate.report_example import example

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (0.1234, 3, "0.123"),
        (-12345.6, 1, f"{MINUS}12,345.6"),
        (0.00001, 3, f"1.0e{MINUS}05"),
        (0.0, 3, "0.000"),
        (float("nan"), 3, DASH),
        (float("inf"), 3, DASH),
        (None, 3, DASH),
        ("x", 3, DASH),
        (np.float32(0.5), 2, "0.50"),
    ],
)
def test_numbers(value, digits, shown):
    assert text.number(value, digits) == shown


def test_shares_and_counts():
    shares = [text.share(x).split() for x in (0, 0.042, 0.5, 0.999, 1)]
    assert [number for number, _ in shares] == ["0.0", "4.2", "50", "99.9", "100"]
    assert text.share(0.865, 1).split() == ["86.5", "%"]
    assert text.share(None) == DASH
    assert text.number(0.001, 2, fixed=True) == "0.00"
    assert text.listed(["a", "b", "c"]) == "a, b and c"
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
    assert not {"\n", "\x00"} & set(short)
    whole = text.name(value)
    assert short == whole if len(whole) <= longest else "…" in short


@given(st.text())
def test_text_is_escaped_everywhere(value):
    inside = element("p", value, title=value)
    assert (inside.count("<"), inside.count(">")) == (2, 2)
    assert inside.count('"') == 2
    assert joined([Markup("<b>"), "<b>"]) == "<b>&lt;b&gt;"


def test_a_row_that_does_not_fit_its_header_is_refused():
    with pytest.raises(ValueError, match="zip"):
        table("c", ["a", "b"], [["only one"]])


def test_every_pair_is_counted_once_where_it_lies():
    random = np.random.default_rng(0)
    observed, predicted = random.normal(size=(2, 7, 31))
    observed[0, 0] = np.nan
    counts, edges = binned(predicted, observed, 5.0)
    there = np.isfinite(observed)
    expected = np.histogram2d(predicted[there], observed[there], bins=[edges, edges])[0]
    np.testing.assert_array_equal(counts, expected)
    assert counts.sum() == there.sum()


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
    assert (places - boxes / 2 >= 0).all()
    assert (places + boxes / 2 <= size).all()
    first, second = np.triu_indices(len(used), 1)
    gap = np.abs(places[first] - places[second]) - (boxes[first] + boxes[second]) / 2
    assert (gap.max(axis=1) > 0).all()
    np.testing.assert_array_equal(places, layout(pairs, boxes, size, seed=0))


def test_one_node_stands_alone():
    places = layout([(0, 1)], np.full((2, 2), 20.0), (300.0, 200.0), seed=0)
    assert np.isfinite(places).all()
    assert np.abs(places[0] - places[1]).max() > 20


def test_no_edges_choose_nothing():
    nothing = ranked_edges(np.zeros((1, 1)), ["a"], 1)
    assert len(hub_edges(nothing)) == 0
    assert isinstance(nothing, pd.DataFrame)
