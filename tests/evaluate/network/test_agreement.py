"""Agreement with known networks: against definitions, chance, and a placement by name."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gpo_vae_jax.evaluate.knowledge import KnownNetwork, read_networks
from gpo_vae_jax.evaluate.network.agreement import (
    agreement,
    agreement_table,
    agreements,
    placed_networks,
    with_known,
)
from gpo_vae_jax.evaluate.network.edges import ranked_edges
from gpo_vae_jax.evaluate.network.recovery import judged_pairs

TREATMENTS = ("zeta", "10", "alpha", "9", "beta")


def network(name, *edges):
    table = pd.DataFrame(edges, columns=["source", "target", "sign"])
    return KnownNetwork(name, "edges", table, frozenset(table["source"]) | set(table["target"]))


@pytest.fixture
def random_case():
    rng = np.random.default_rng(0)
    return rng.random((12, 12)), rng.random((12, 12)) < 0.2


def test_numbers_follow_their_definitions(random_case):
    probabilities, known = random_case
    counted = judged_pairs(12, 7, block=True)
    found = agreement(probabilities, known, counted, threshold=0.6)
    pairs = [(i, j) for i in range(7) for j in range(7) if i != j]
    called = {p for p in pairs if probabilities[p] > 0.6}
    true = {p for p in pairs if known[p]}
    assert found["n_possible"] == len(pairs) == 42
    assert (found["n_called"], found["n_known"]) == (len(called), len(true))
    assert found["n_shared"] == len(called & true)
    assert found["precision"] == len(called & true) / len(called)
    assert found["recall"] == len(called & true) / len(true)
    assert found["random_precision"] == found["random_auprc"] == len(true) / 42
    table = [[len(called & true), len(called - true)], [len(true - called), 0]]
    table[1][1] = 42 - len(called | true)
    assert found["p_value"] == pytest.approx(stats.fisher_exact(table, "greater").pvalue)


def test_a_network_agrees_with_itself_and_not_with_its_reverse(random_case):
    _, known = random_case
    counted = judged_pairs(12, 12)
    same = agreement(known.astype(float), known, counted)
    assert (same["precision"], same["recall"], same["auprc"], same["auroc"]) == (1, 1, 1, 1)
    assert agreement(1.0 - known, known, counted)["auroc"] == 0


@pytest.mark.parametrize(("probability", "edge"), [(0.1, True), (0.9, False), (0.1, False)])
def test_what_means_nothing_is_nan(probability, edge):
    known = np.zeros((4, 4), bool)
    known[0, 1] = edge
    found = agreement(np.full((4, 4), probability), known, judged_pairs(4, 4))
    assert np.isnan(found["precision"]) == (probability < 0.5)
    assert np.isnan(found["recall"]) == np.isnan(found["auprc"]) == (not edge)
    assert found["n_shared"] == 0 and found["p_value"] == 1


def test_edges_are_judged_by_name_with_unsorted_and_number_like_names():
    """Probabilities of the known edges are high: any other order of names would miss them."""
    known = [("9", "zeta", ""), ("10", "beta", ""), ("zeta", "alpha", "")]
    probabilities = np.zeros((5, 5))
    for source, target, _ in known:
        probabilities[TREATMENTS.index(source), TREATMENTS.index(target)] = 0.9
    # In an order of first appearance "9" would be row 0, "zeta" row 1.
    found = agreements(probabilities, placed_networks([network("K", *known)], TREATMENTS), 4)
    assert found["K"]["precision"] == found["K"]["recall"] == 1
    assert (found["K"]["n_known"], found["K"]["n_possible"]) == (2, 12)  # beta is not perturbed
    assert (found["K"]["all"]["n_known"], found["K"]["all"]["n_possible"]) == (3, 16)
    order = np.argsort(TREATMENTS)  # the same network, its treatments sorted
    shuffled = [TREATMENTS[i] for i in order]
    again = agreements(
        probabilities[np.ix_(order, order)],
        placed_networks([network("K", *known)], shuffled),
        5,
    )
    assert again["K"]["precision"] == again["K"]["recall"] == 1


def test_union_coverage_and_targets_that_are_not_measured():
    networks = [network("A", ("zeta", "10", "")), network("B", ("zeta", "9", ""))]
    placed = placed_networks(networks, TREATMENTS)
    found = agreements(np.ones((5, 5)), placed, 2)
    assert list(found) == ["A", "B", "union"]
    assert [found[name]["covered"] for name in found] == [1, 0.5, 1]
    assert [found[name]["all"]["covered"] for name in found] == [0.4, 0.4, 0.6]
    assert [found[name]["all"]["n_known"] for name in found] == [1, 1, 2]
    fewer = agreements(np.ones((5, 5)), placed, 2, measured=np.array([1, 1, 1, 0, 1]))
    assert [fewer[name]["all"]["n_known"] for name in fewer] == [1, 0, 1]
    assert fewer["A"]["all"]["n_possible"] == 6
    table = agreement_table(found)
    assert list(zip(table["network"], table["pairs"], strict=True))[:2] == [
        ("A", "block"),
        ("A", "all"),
    ]
    assert placed_networks([], TREATMENTS) == []


def test_edges_carry_whether_they_are_known_and_their_sign():
    networks = [
        network("A", ("9", "zeta", "repression"), ("10", "9", "unknown")),
        network("B", ("9", "zeta", "")),
    ]
    probabilities = np.random.default_rng(0).random((5, 5))
    edges = ranked_edges(probabilities, TREATMENTS, 4)
    table = with_known(edges, placed_networks(networks, TREATMENTS), TREATMENTS)
    assert list(table["source"]) == list(edges["source"])
    rows = table.set_index(["source", "target"])
    assert list(rows.loc[("9", "zeta"), ["known_A", "known_B", "sign_A"]]) == [
        *(True, True, "repression")
    ]
    assert list(rows.loc[("10", "9"), ["known_A", "known_B", "sign_A"]]) == [True, False, "unknown"]
    assert table["known_union"].sum() == 2
    assert set(table["sign_A"]) == {"", "repression", "unknown"}
    assert "sign_B" not in table  # states none


def test_published_networks_over_the_genes_of_a_screen(shared):
    """Genes of TRRUST's own edges, as symbols in lower case and as the file spells them."""
    path = shared("data/networks/trrust_v2_human.tsv")
    (trrust,) = read_networks([f"TRRUST={path}"])
    genes = sorted(trrust.edges["source"].value_counts().index[:20])
    for names in (genes, [gene.lower() for gene in genes]):
        placed = placed_networks([trrust], names)
        found = agreements(placed[0].adjacency.astype(float), placed, 20)["TRRUST"]
        assert found["precision"] == found["recall"] == found["covered"] == 1
        assert found["n_known"] > 50
