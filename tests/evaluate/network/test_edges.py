"""The network's files: ranks, thresholds, and that names stay with their numbers."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.evaluate.network.edges import ranked_edges, write_network

NAMES = ["beta", "10", "alpha", "zeta"]  # unsorted, and one that looks like a number


@pytest.fixture
def probabilities():
    values = np.random.default_rng(0).permutation(16).reshape(4, 4) / 16
    values[0, 0] = 0.99  # of a gene on itself: never an edge
    return values


def test_edges_come_from_the_most_probable_down_without_self_edges(probabilities):
    edges = ranked_edges(probabilities, NAMES, 2, threshold=0.5, at_least=0)
    assert (edges["source"] != edges["target"]).all()
    assert (np.diff(edges["probability"]) <= 0).all()
    assert (edges["probability"] > 0.5).all()
    off = ~np.eye(4, dtype=bool)
    assert len(edges) == (probabilities[off] > 0.5).sum()
    for edge in edges.itertuples():
        i, j = NAMES.index(edge.source), NAMES.index(edge.target)
        assert edge.probability == probabilities[i, j]
        assert (edge.source_perturbed, edge.target_perturbed) == (i < 2, j < 2)


def test_the_most_probable_are_listed_even_below_the_threshold(probabilities):
    edges = ranked_edges(probabilities / 10, NAMES, 2, threshold=0.5, at_least=5)
    assert len(edges) == 5
    assert not edges["above_threshold"].any()


def test_files_agree_with_each_other(tmp_path, probabilities):
    edges = write_network(tmp_path, probabilities, NAMES, 2, at_least=6)
    matrix = pd.read_csv(tmp_path / "grn.csv", index_col=0, dtype={0: str})
    assert list(matrix.columns) == list(matrix.index) == NAMES
    np.testing.assert_allclose(matrix.to_numpy(), probabilities, atol=1e-6)
    table = pd.read_csv(tmp_path / "edges.csv", dtype={"source": str, "target": str})
    pd.testing.assert_frame_equal(table, edges, check_dtype=False, rtol=1e-5)
    graph = nx.read_graphml(tmp_path / "edges.graphml")
    assert set(graph.nodes) == set(NAMES)
    assert [graph.nodes[name]["perturbed"] for name in NAMES] == [True, True, False, False]
    assert {(a, b) for a, b in graph.edges} == set(zip(edges.source, edges.target, strict=True))
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]
