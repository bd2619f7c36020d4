"""Enrichment: gseapy's numbers against the hypergeometric test, over the right background."""

import sys

import numpy as np
import pytest
from scipy import stats

from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.evaluate.network.enrichment import COLUMNS, enrichment

TREATMENTS = [*(f"gene{i}" for i in range(18)), "10", "Gene18"]  # mixed case; one like a number


@pytest.fixture
def gmt(tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_text(
        "first\t\tGENE1\tGENE2\tgene3\t10\n"
        "second\t\tgene3\tgene4\tgene5\tOUTSIDE\n"
        "apart\t\tgene14\tgene15\tgene16\n"
        "small\t\tgene1\tgene2\n"
    )
    return path


@pytest.fixture
def probabilities():
    values = np.zeros((20, 20))
    values[0, [1, 2, 3, 18]] = 0.9  # all of `first`, one of `second`
    values[3, [1, 3, 4, 5, 6]] = 0.8  # itself: never a target
    values[5, [1, 2]] = 0.9  # too few
    values[12, [1, 2, 3]] = 0.9  # never perturbed
    return values


def test_p_values_are_hypergeometric_over_the_other_treatments(probabilities, gmt):
    pytest.importorskip("gseapy")
    table = enrichment(probabilities, TREATMENTS, 10, gmt)
    assert tuple(table) == COLUMNS
    assert set(table["regulator"]) == {"gene0", "gene3"}
    rows = table.set_index(["regulator", "gene_set"])
    row = rows.loc[("gene0", "first")]
    sizes = ["n_shared", "n_targets", "set_size", "n_background"]
    assert list(row[sizes]) == [4, 4, 4, 19]
    assert row["p_value"] == pytest.approx(stats.hypergeom.sf(3, 19, 4, 4))
    assert row["genes"] == "gene1;gene2;gene3;10"
    assert list(rows.loc[("gene3", "first"), sizes]) == [1, 4, 3, 19]
    # gene3 cannot be its own target: `second` keeps two genes and is not tested for it.
    assert set(rows.index) == {("gene0", "first"), ("gene0", "second"), ("gene3", "first")}
    assert list(table["p_value"]) == sorted(table["p_value"])


def test_p_values_are_adjusted_over_all_tests_made(probabilities, gmt):
    pytest.importorskip("gseapy")
    probabilities[3, 14] = 0.9  # one of `apart`
    table = enrichment(probabilities, TREATMENTS, 10, gmt)
    # gene0: first, second, apart; gene3: first (3 left), apart. Only one shares no gene.
    assert len(table) == 4
    every = np.ones(5)
    every[: len(table)] = table["p_value"]
    np.testing.assert_allclose(
        table["adjusted_p_value"], stats.false_discovery_control(every)[: len(table)]
    )


def test_nothing_to_test_is_an_empty_table(gmt):
    pytest.importorskip("gseapy")
    table = enrichment(np.zeros((20, 20)), TREATMENTS, 10, gmt)
    assert table.empty and tuple(table) == COLUMNS


def test_without_gseapy_the_error_says_what_to_install(monkeypatch, probabilities, gmt):
    monkeypatch.setitem(sys.modules, "gseapy", None)
    with pytest.raises(ConfigError, match=r"pip install 'gpo-vae-jax\[analysis\]'"):
        enrichment(probabilities, TREATMENTS, 10, gmt)


def test_sets_of_other_genes_say_so(probabilities, tmp_path):
    pytest.importorskip("gseapy")
    path = tmp_path / "other.gmt"
    path.write_text("x\t\tSox2\tPou5f1\tKlf4\n")
    with pytest.raises(DataError, match=r"none of its 1 gene sets has 3 genes.*Sox2.*gene0"):
        enrichment(probabilities, TREATMENTS, 10, path)
