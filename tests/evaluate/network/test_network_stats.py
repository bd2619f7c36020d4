"""Edges and paths judged by test cells: recorded numbers, definitions, and names."""

import json

import networkx as nx
import numpy as np
import pytest

from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.evaluate.network.network_stats import network_statistics
from gpo_vae_jax.statistics.two_sample import TwoSample, two_sample_tables
from tests.paths import GOLDEN

NAMES = ("0", "10", "2", "b", "7", "a")  # the first four perturbed; names that look like rows
SETTINGS = EvaluateConfig(matched_edges=(2, 4), omission_pairs=6)


@pytest.fixture(scope="module")
def recorded():
    with np.load(GOLDEN / "network_stats.npz") as z:
        return dict(z)


@pytest.fixture(scope="module")
def recorded_tables(recorded):
    parents = recorded["parents"].tolist()
    carried = np.array([parents.index(g) if g in parents else -1 for g in recorded["gene"]])
    return two_sample_tables(
        recorded["X"],
        recorded["gene"] == "non-targeting",
        np.maximum(carried, 0)[:, None],
        (carried >= 0)[:, None],
        len(parents),
    )


def network(n, edges, probability=0.9):
    probabilities = np.full((n, n), 0.1)
    for source, target in edges:
        probabilities[source, target] = probability
    return probabilities


def random_tables(n_perturbed=4, n=6, seed=0):
    rng = np.random.default_rng(seed)
    p, distance = rng.random((2, n_perturbed, n))
    p[rng.random(p.shape) < 0.4] /= 50
    return TwoSample(p, distance)


def test_the_recorded_tables(recorded, recorded_tables):
    np.testing.assert_allclose(recorded_tables.p, recorded["pvalues"], atol=1e-6, rtol=0)
    np.testing.assert_allclose(recorded_tables.wasserstein, recorded["wasserstein"], rtol=1e-4)


def test_the_recorded_edges_and_paths(recorded, recorded_tables):
    names = recorded["var"].tolist()
    probabilities = network(len(names), recorded["edges"])
    found, _ = network_statistics(probabilities, recorded_tables, names, 5, EvaluateConfig())
    edges = found["all"]["edges"]
    assert edges["n"] == edges["n_evaluable"] == len(recorded["edges"])
    assert edges["true_positives"] == recorded["true_positives"]
    assert edges["false_positives"] == recorded["false_positives"]
    assert edges["mean_wasserstein"] == pytest.approx(float(recorded["mean_wasserstein"]), rel=1e-4)
    expected = json.loads(str(recorded["path_results"]))
    for have, want, length in zip(found["upstream"]["paths"], expected, (2, 3), strict=True):
        assert have["length"] == length
        assert have["true_positives"] == want["true_positives"]
        assert have["false_positives"] == want["false_positives"]
        mean = want["wasserstein_distance"]["mean"]
        assert have["mean_wasserstein"] == pytest.approx(mean, rel=1e-4)


def test_sets_by_brute_force():
    rng = np.random.default_rng(5)
    probabilities, tables = rng.random((6, 6)), random_tables()
    tables.p[:, 4] = np.nan  # a gene that is not measured
    found, _ = network_statistics(probabilities, tables, NAMES, 4, SETTINGS)
    off_diagonal = ~np.eye(6, dtype=bool)
    assert found["n_edges"] == ((probabilities > 0.5) & off_diagonal).sum()
    assert found["n_edges_perturbed"] == ((probabilities > 0.5) & off_diagonal)[:4].sum()
    assert found["n_edges_perturbed"] == found["all"]["edges"]["n"]
    assert found["n_edges_block"] == found["block"]["edges"]["n"]
    assert found["n_edges_block"] == ((probabilities > 0.5) & off_diagonal)[:4, :4].sum()
    assert found["shares"]["ge_0.5"] == pytest.approx((probabilities >= 0.5).mean())
    for name, n in (("block", 4), ("all", 6)):
        graph = nx.from_numpy_array(probabilities[:n, :n] > 0.5, create_using=nx.DiGraph)
        for length, have in enumerate([found[name]["edges"], *found[name]["paths"]], start=1):
            pairs = [
                (a, b)
                for a in range(4)
                for b, steps in nx.single_source_shortest_path_length(graph, a).items()
                if steps == length
            ]
            tested = [pair for pair in pairs if pair[1] != 4]
            assert have["n"] == len(pairs) and have["n_evaluable"] == len(tested)
            assert have["true_positives"] == sum(tables.p[pair] < 0.05 for pair in tested)
            assert have["false_positives"] == len(tested) - have["true_positives"]
            share = have["true_positives"] / len(tested) if tested else np.nan
            np.testing.assert_equal(have["true_positive_share"], share)
            distances = [tables.wasserstein[pair] for pair in tested]
            mean = np.mean(distances) if distances else np.nan
            np.testing.assert_allclose(have["mean_wasserstein"], mean)


def test_omission_rate_leaves_out_predicted_edges_and_paths():
    """All that shows is predicted, directly or by a path: only upstream's figure sees omissions."""
    probabilities = network(6, [(0, 1), (1, 2)])
    p = np.full((4, 6), 0.9)
    p[0, 1] = p[1, 2] = p[0, 2] = 0.001
    tables = TwoSample(p, np.ones((4, 6)))
    found, _ = network_statistics(probabilities, tables, NAMES, 4, EvaluateConfig())
    assert found["block"]["false_omission_rate"] == 0.0
    assert found["block"]["n_omission_pairs"] == 12 - 3
    assert found["all"]["n_omission_pairs"] == 20 - 3
    assert found["upstream"]["false_omission_rate"] == pytest.approx(3 / 12)


def test_omission_rate_drops_what_cannot_be_tested():
    p = np.full((4, 6), 0.001)
    p[:, 1] = np.nan
    tables = TwoSample(p, np.ones((4, 6)))
    found, _ = network_statistics(network(6, []), tables, NAMES, 4, EvaluateConfig())
    assert found["block"]["false_omission_rate"] == 1.0
    assert found["block"]["n_omission_pairs"] == 9
    assert found["upstream"]["false_omission_rate"] == pytest.approx(9 / 12)  # keeps all 12


def test_omission_rate_of_a_full_network_is_none():
    found, _ = network_statistics(np.full((6, 6), 0.9), random_tables(), NAMES, 4, SETTINGS)
    assert found["block"]["false_omission_rate"] is None
    assert found["all"]["n_omission_pairs"] == 0


def test_omission_pairs_are_drawn_evenly_and_from_the_seed():
    names = [f"g{i}" for i in range(60)]
    tables, probabilities = random_tables(60, 60), np.zeros((60, 60))
    settings = [EvaluateConfig(omission_pairs=100, seed=seed) for seed in (*range(60), 0)]
    rates = [
        network_statistics(probabilities, tables, names, 60, each)[0]["all"]["false_omission_rate"]
        for each in settings
    ]
    assert rates[0] == rates[-1] and len(set(rates)) > 5
    share = (tables.p[~np.eye(60, dtype=bool)] < 0.05).mean()
    spread = np.sqrt(share * (1 - share) / 100)
    assert abs(np.mean(rates[:-1]) - share) < 4 * spread / np.sqrt(60)
    assert 0.6 * spread < np.std(rates[:-1]) < 1.5 * spread


def test_results_follow_names_not_positions():
    rng = np.random.default_rng(9)
    probabilities, tables = rng.random((6, 6)) ** 2, random_tables(seed=2)
    order = np.array([3, 1, 0, 2, 5, 4])
    settings = EvaluateConfig(matched_edges=(2, 4), omission_pairs=2)
    plain, curve = network_statistics(probabilities, tables, NAMES, 4, settings)
    moved = TwoSample(*(table[np.ix_(order[:4], order)] for table in tables))
    names = [NAMES[i] for i in order]
    again, moved_curve = network_statistics(
        probabilities[np.ix_(order, order)], moved, names, 4, settings
    )
    del plain["upstream"]["paths"], again["upstream"]["paths"]  # run through "one node more"
    plain, again = (
        json.loads(json.dumps(each), parse_float=lambda x: round(float(x), 12))
        for each in (plain, again)
    )
    assert again == plain
    np.testing.assert_allclose(
        moved_curve.drop(columns="set").to_numpy(), curve.drop(columns="set").to_numpy()
    )


def test_curve_takes_the_most_probable_pairs():
    rng = np.random.default_rng(1)
    probabilities, tables = rng.random((6, 6)), random_tables(seed=1)
    tables.p[2, 5] = tables.wasserstein[2, 5] = np.nan
    probabilities[2, 5] = probabilities[1, 1] = 0.999  # neither is a pair to judge
    settings = EvaluateConfig(matched_edges=(3, 7, 19, 20))
    _, curve = network_statistics(probabilities, tables, NAMES, 4, settings)
    for name, n in (("block", 4), ("all", 6)):
        pairs = [(r, t) for r in range(4) for t in range(n) if r != t and (r, t) != (2, 5)]
        pairs.sort(key=lambda pair: -probabilities[pair])
        called = sum(probabilities[pair] > 0.5 for pair in pairs)
        rows = curve[curve["set"] == name]
        assert rows["edges"].tolist() == sorted({n for n in (3, 7, 19, called) if n <= len(pairs)})
        shows = np.array([tables.p[pair] < 0.05 for pair in pairs])
        distances = np.array([tables.wasserstein[pair] for pair in pairs])
        for row in rows.itertuples():
            assert row.threshold == probabilities[pairs[row.edges - 1]]
            assert row.mean_wasserstein == pytest.approx(distances[: row.edges].mean())
            assert row.true_positive_share == pytest.approx(shows[: row.edges].mean())
            assert row.random_mean_wasserstein == pytest.approx(distances.mean())
            assert row.random_true_positive_share == pytest.approx(shows.mean())


def test_nothing_measured_leaves_empty_numbers():
    nothing = TwoSample(np.full((4, 6), np.nan), np.full((4, 6), np.nan))
    found, curve = network_statistics(np.full((6, 6), 0.9), nothing, NAMES, 4, SETTINGS)
    assert found["all"]["edges"]["n"] == 20 and found["all"]["edges"]["n_evaluable"] == 0
    assert np.isnan(found["all"]["edges"]["mean_wasserstein"])
    assert len(curve) == 0 and "random_mean_wasserstein" in curve.columns


def test_tables_of_another_size_are_refused():
    with pytest.raises(DataError, match=r"tables.p has shape \(3, 6\), expected \(4, 6\)"):
        network_statistics(np.zeros((6, 6)), random_tables(3), NAMES, 4, SETTINGS)
