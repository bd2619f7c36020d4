"""The network of several members, against its definition."""

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.evaluate.network.edges import edge_probabilities
from gpo_vae_jax.evaluate.network.ensemble import (
    EnsembleNetwork,
    ensemble_edges,
    ensemble_network,
    write_ensemble,
)
from gpo_vae_jax.train.training import train
from tests.tiny import tiny_dataset
from tests.train.conftest import TINY

NAMES = ("A", "B", "C")


@pytest.fixture
def network():
    """Return three members: all call A -> B, one calls B -> C, none calls C -> A."""
    each = np.zeros((3, 3, 3))
    each[:, 0, 1] = 0.9, 0.8, 0.7
    each[:, 1, 2] = 0.9, 0.2, 0.1
    each[:, 2, 0] = 0.4
    each[:, 0, 0] = 1.0
    return EnsembleNetwork(each.mean(0), each.std(0, ddof=1), (each > 0.5).mean(0), 0.5, 3)


def test_edges_say_how_many_members_call_them(network):
    edges = ensemble_edges(network, NAMES, 2, at_least=0)
    assert list(zip(edges["source"], edges["target"], strict=True)) == [("A", "B"), ("B", "C")]
    assert list(edges["n_called"]) == [3, 1]
    assert list(edges["in_all"]) == [True, False]
    np.testing.assert_allclose(edges["stability"], [1, 1 / 3])
    np.testing.assert_allclose(edges["probability"], [0.8, 0.4])
    np.testing.assert_allclose(edges["probability_sd"], [0.1, np.std([0.9, 0.2, 0.1], ddof=1)])
    assert len(ensemble_edges(network, NAMES, 2, at_least=6)) == 6


def test_the_network_is_the_mean_over_members(tmp_path):
    trained = train(tiny_dataset(), TINY, seeds=(0, 1, 2))
    found = ensemble_network(trained, threshold=0.5)
    each = np.stack([edge_probabilities(one.params, spec=one.spec) for one in trained])
    np.testing.assert_allclose(found.mean, each.mean(0))
    np.testing.assert_allclose(found.deviation, each.std(0, ddof=1))
    edges = write_ensemble(tmp_path, found, trained.treatments, trained.n_perturbed)
    matrix = pd.read_csv(tmp_path / "ensemble_grn.csv", index_col="source")
    np.testing.assert_allclose(matrix.to_numpy(), found.mean, rtol=1e-5)
    assert len(pd.read_csv(tmp_path / "ensemble_edges.csv")) == len(edges)
    alone = ensemble_network(trained[0])
    assert alone.n_members == 1 and not alone.deviation.any()
    with pytest.raises(ConfigError, match="between 0 and 1"):
        ensemble_network(trained, threshold=2)
