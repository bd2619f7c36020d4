"""The metric table: every number of an evaluation has a row, and directions are followed."""

import math

import pytest

from gpo_vae_jax.evaluate import metrics
from gpo_vae_jax.evaluate.summary_numbers import numbers

SAID_ELSEWHERE = ("run.", "n_cells", "n_particles", "shares.", "threshold")


def test_every_number_of_an_evaluation_has_a_row(evaluation):
    missing = [
        path
        for path in numbers(evaluation.summary)
        if metrics.find(path) is None and not any(part in path for part in SAID_ELSEWHERE)
    ]
    assert missing == []


def test_rows_are_complete_and_unique():
    names = [row.name for row in metrics.METRICS]
    assert len(set(names)) == len(names)
    for row in metrics.METRICS:
        assert row.label
        assert row.about.endswith(".")
        low, high = row.limits
        assert low is None or high is None or low < high


def test_parameters_are_filled_in():
    row = metrics.metric("jaccard_20")
    assert (row.name, row.label) == ("jaccard_20", "Jaccard of top 20")
    assert "20 strongest" in row.about
    with pytest.raises(KeyError, match="add a row to METRICS"):
        metrics.metric("nosuch")


def test_a_path_is_described_in_words():
    describe = metrics.describe
    assert describe("effects.mean.reference.ceiling.r2") == "R², in counts, all cells, half vs half"
    assert describe("network.block.paths.length_2.n") == "Pairs at distance 2, perturbed genes"
    assert describe("known_networks.CORUM.precision") == "Precision, known networks, CORUM"
    assert describe("quality.observed.3") == "QC pass rate, 3 MADs, observed libraries"
    assert describe("quality.observed.3") != describe("quality.reference.3")
    assert describe("no.such") == "no.such"


@pytest.mark.parametrize(
    ("name", "values", "best"),
    [
        ("pearson", {"a": 0.1, "b": 0.3, "c": math.nan}, ("b",)),
        ("best_loss", {"a": 0.1, "b": 0.3, "c": None}, ("a",)),
        ("best_loss", {"a": 0.1, "b": 0.1}, ("a", "b")),
        ("n_edges", {"a": 1, "b": 2}, ()),
        ("pearson", {"a": None, "b": math.nan}, ()),
    ],
)
def test_best_follows_the_direction(name, values, best):
    assert metrics.best_of(name, values) == best


def test_a_change_is_better_or_worse():
    loss, r, edges = (metrics.metric(name) for name in ("best_loss", "pearson", "n_edges"))
    assert [metrics.verdict(row, 1.0) for row in (loss, r, edges)] == ["worse", "better", ""]
    assert [metrics.verdict(loss, x) for x in (-1.0, 0.0, math.nan)] == ["better", "", ""]
