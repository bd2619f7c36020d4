"""Lengths of shortest paths against networkx."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpo_vae_jax.evaluate.network import paths
from gpo_vae_jax.evaluate.network.paths import path_lengths


def by_networkx(edges, n_sources):
    graph = nx.from_numpy_array(edges, create_using=nx.DiGraph)
    lengths = np.full((n_sources, len(edges)), -1)
    for source in range(n_sources):
        for node, length in nx.single_source_shortest_path_length(graph, source).items():
            lengths[source, node] = length
    return lengths


@given(st.integers(0, 2**32 - 1), st.integers(1, 75), st.floats(0.005, 0.2))
def test_any_network_equals_networkx(seed, n, density):
    rng = np.random.default_rng(seed)
    edges = rng.random((n, n)) < density  # edges from a node to itself among them
    n_sources = int(rng.integers(0, n + 1))
    expected = by_networkx(edges, n_sources)
    np.testing.assert_array_equal(path_lengths(edges, n_sources), expected)
    short = np.where(expected <= 2, expected, -1)
    np.testing.assert_array_equal(path_lengths(edges, n_sources, 2), short)


def test_sources_taken_a_few_at_a_time_give_the_same(monkeypatch):
    edges = np.random.default_rng(0).random((70, 70)) < 0.03
    monkeypatch.setattr(paths, "_BYTES", 1)
    np.testing.assert_array_equal(path_lengths(edges, 40), by_networkx(edges, 40))


@pytest.mark.parametrize("n", [63, 64, 65])
def test_a_chain_is_followed_to_its_end(n):
    lengths = path_lengths(np.eye(n, k=1, dtype=bool), 2)
    np.testing.assert_array_equal(lengths[0], np.arange(n))
    np.testing.assert_array_equal(lengths[1], [-1, *range(n - 1)])
