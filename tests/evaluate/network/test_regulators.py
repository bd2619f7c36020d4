"""Regulators and what lies downstream: against an enumeration of all paths by networkx."""

import itertools
import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.evaluate.network.regulators import neighbourhood, regulators

NAMES = ["beta", "10", "alpha", "zeta", "9"]


def test_regulators_are_ranked_by_called_then_expected_targets():
    probabilities = np.array([
        [0.9, 0.6, 0.1, 0.1, 0.1],
        [0.6, 0.9, 0.7, 0.1, 0.1],
        [0.1, 0.1, 0.9, 0.8, 0.3],
        [0.9, 0.9, 0.9, 0.9, 0.9],  # never perturbed
        [0.0, 0.0, 0.0, 0.0, 0.9],
    ])  # fmt: skip
    table = regulators(probabilities, NAMES, 3)
    assert list(table["gene"]) == ["10", "alpha", "beta", "zeta", "9"]
    assert list(table["rank"]) == [1, 2, 3, 4, 5]
    rows = table.set_index("gene")
    assert list(rows["n_targets"]) == [2, 1, 1, 4, 0]
    np.testing.assert_allclose(rows["expected_targets"], [1.5, 1.3, 0.9, 3.6, 0])
    assert rows.loc["alpha", "n_regulators"] == 1  # zeta's edge is not counted
    assert rows.loc["10", "strongest_target"] == "alpha"
    assert list(rows["perturbed"]) == [True, True, True, False, False]


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([0.3, 0.6]))
def test_paths_are_the_most_probable_of_all_there_are(seed, depth, threshold):
    probabilities = np.random.default_rng(seed).random((6, 6)).round(1)  # with ties and ones
    names = [f"G{i}" for i in range(6)]
    graph = nx.DiGraph()
    for i, j in itertools.permutations(range(6), 2):
        if probabilities[i, j] > threshold:
            graph.add_edge(names[i], names[j], p=probabilities[i, j])
    graph.add_nodes_from(names)
    expected = {}
    for end in names[1:]:
        products = [
            math.prod(graph.edges[pair]["p"] for pair in itertools.pairwise(path))
            for path in nx.all_simple_paths(graph, "G0", end, cutoff=depth)
        ]
        if products:
            expected[end] = max(products)
    table = neighbourhood(probabilities, names, "G0", depth=depth, threshold=threshold)
    assert set(table["gene"]) == set(expected)
    shortest = nx.single_source_shortest_path_length(graph, "G0")
    for row in table.itertuples():
        assert row.probability == pytest.approx(expected[row.gene])
        path = row.path.split(" > ")
        assert (
            path[0] == "G0" and path[-1] == row.gene and len(path) == row.n_edges + 1 <= depth + 1
        )
        assert len(set(path)) == len(path)
        along = math.prod(graph.edges[pair]["p"] for pair in itertools.pairwise(path))
        assert along == pytest.approx(row.probability)
        assert row.distance == shortest[row.gene]
    assert list(table["distance"]) == sorted(table["distance"])


def test_a_gene_without_targets_has_an_empty_neighbourhood():
    table = neighbourhood(np.zeros((5, 5)), NAMES, "9")
    assert table.empty and "path" in table


def test_mistakes_name_the_gene_and_what_is_near():
    with pytest.raises(ConfigError, match="'Beta' is not one of the 5 treatments; did you mean"):
        neighbourhood(np.zeros((5, 5)), NAMES, "Beta")
    with pytest.raises(ConfigError, match="depth=0"):
        neighbourhood(np.zeros((5, 5)), NAMES, "beta", depth=0)
