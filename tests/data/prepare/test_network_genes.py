"""Who is in the network, who is left out of the data, and how it is said."""

import json

import numpy as np
import pytest

from gpo_vae_jax.data import from_anndata
from gpo_vae_jax.errors import DataError
from tests.data.prepare.raw.screens import (
    CONTROL,
    GENES,
    labels,
    notes,
    of_genes,
    prepared,
    relabelled,
    screen,
    sizes,
)


def network(**settings):
    return list(prepared(screen(), **settings).uns["gpo_vae"]["dosage_names"])


def test_the_choices_of_network_genes(tmp_path):
    every = list(screen().var_names)
    assert network(network_genes="perturbed") == list(GENES)
    assert network(network_genes="all") == [*GENES, *sorted(set(every) - set(GENES))]
    four = network(network_genes="4")
    assert four == [*GENES, "GENE000", "GENE001", "GENE002", "GENE003"]  # each is raised threefold
    listing = tmp_path / "factors.txt"
    listing.write_text("# factors\ngene007\nGENE001\nKLF1\nABSENT1\n")
    result = prepared(screen(), network_genes=str(listing))
    assert list(result.uns["gpo_vae"]["dosage_names"]) == [*GENES, "GENE001", "GENE007"]
    assert "1 of 4 names in" in notes(result) and "ABSENT1" in notes(result)
    assert from_anndata(result).n_perturbed == 4


def test_choices_that_cannot_be_are_refused_before_the_work(tmp_path):
    with pytest.raises(
        DataError, match=r"network_genes=every: it must be extended, perturbed, all"
    ):
        network(network_genes="every")
    with pytest.raises(DataError, match=r"33 network genes are more than .*network_most=20"):
        network(network_genes="all", network_most=20)
    empty = tmp_path / "none.txt"
    empty.write_text("XGATA\n")
    with pytest.raises(DataError, match=r"names no measured gene, but XGATA; 'XGATA' may be"):
        network(network_genes=str(empty))


def test_targets_that_are_not_measured_are_kept_and_named():
    raw = screen()
    before = sizes(raw)
    change = of_genes(lambda x, i: {"SPI1": "1-Mar", "MYC": "MYCC"}.get(x, x))
    raw = relabelled(change, raw)
    result = prepared(raw.copy())
    assert labels(result) == {
        {"SPI1": "1-Mar", "MYC": "MYCC"}.get(k, k): n for k, n in before.items()
    }
    said = (
        f"2 perturbed genes of {before['SPI1'] + before['MYC']} cells are not measured: 1-Mar, MYCC"
    )
    assert said in notes(result) and "'MYCC' may be 'MYC'" in notes(result)
    assert json.loads(result.uns["gpo_vae"]["unmeasured"]) == ["1-Mar", "MYCC"]
    dropped = prepared(raw.copy(), unmeasured="drop")
    lost = before["SPI1"] + before["MYC"]
    assert dropped.n_obs == 300 - lost and f"{lost} of 300 cells" in notes(dropped)


def test_a_rare_gene_is_left_out_with_a_note():
    seen = []

    def change(x, i):
        seen.append(x == "SPI1")
        return "GATA1" if x == "SPI1" and sum(seen) > 2 else x

    raw = screen()
    before = sizes(raw)
    result = prepared(relabelled(change, raw))
    assert "SPI1" not in labels(result) and result.n_obs == 298
    assert labels(result)["GATA1"] == before["GATA1"] + before["SPI1"] - 2
    assert "2 of 300 cells (0.7%) are left out" in notes(result) and "SPI1" in notes(result)


def test_the_error_about_rare_perturbations_says_what_works():
    raw = screen(n=600)
    raw.obs["perturbation"] = [
        f"X{i % 67}" if x == "MYC" else x for i, x in enumerate(raw.obs["perturbation"].astype(str))
    ]
    with pytest.raises(
        DataError, match=r"without training cells: X.*min_cells=\d+ is the least"
    ) as e:
        prepared(raw.copy(), min_cells=0)
    least = int(str(e.value).split("min_cells=")[1].split()[0])
    assert prepared(raw.copy(), min_cells=least).n_obs < 600
    assert prepared(raw.copy()).n_obs >= prepared(raw.copy(), min_cells=least).n_obs


@pytest.mark.parametrize("seed", range(5))
def test_few_controls_are_in_every_split(seed):
    raw = screen(n=400, share=0.0)
    raw.obs["perturbation"] = np.where(
        np.arange(400) % 100 == seed, CONTROL, raw.obs["perturbation"]
    )
    result = prepared(raw)
    control = result.obs["perturbation"] == CONTROL
    parts = set(result.obs["split"][control])
    assert control.sum() == 4 and parts == {"train", "val", "test"}


def test_the_split_of_many_controls_is_as_ever():
    from gpo_vae_jax.data.prepare.splits import split_by_name

    result = prepared(screen())
    np.testing.assert_array_equal(result.obs["split"], split_by_name(result.obs_names, 0))


def test_unseen_combinations_of_seen_genes_are_kept():
    rng = np.random.default_rng(0)
    names = [f"GENE{i:03d}" for i in range(20)]
    raw = relabelled(
        of_genes(lambda x, i: "+".join(rng.choice(names, 3, replace=False))), screen(600)
    )
    for settings in ({}, {"min_cells": 0}):
        result = prepared(raw.copy(), **settings)
        assert result.n_obs == 600 and "without training cells" in notes(result)
        assert "0 genes perturbed in no training cell" in notes(result)
    dataset = from_anndata(result)
    assert dataset.n_perturbed == 20 and set(dataset.treatments[:20]) == set(names)


def test_a_column_that_is_no_split_is_kept_under_another_name():
    raw = screen()
    raw.obs["split"], raw.obs["qc_fail"] = "batch1", "no"
    raw.uns["gpo_vae"], raw.layers["counterfactual"] = "mine", raw.X.copy()
    result = prepared(raw)
    assert set(result.obs["split"]) == {"train", "val", "test"}
    assert set(result.obs["raw_split"]) == {"batch1"} and set(result.obs["raw_qc_fail"]) == {"no"}
    assert "obs['split'] has batch1, not train, val and test" in notes(result)
    np.testing.assert_array_equal(result.obs["split"], prepared(screen()).obs["split"])


def test_mitochondria_of_other_species_are_seen():
    raw = screen()
    want = prepared(raw).obs
    spelt = {
        "mouse": lambda n: f"mt-{n[3:].capitalize()}" if n.startswith("MT-") else n.capitalize(),
        "fly": lambda n: n.replace("MT-", "mt:"),
        "R": lambda n: n.replace("MT-", "MT."),
        "mixture": lambda n: f"GRCh38_{n}" if n.startswith(("MT", "RP", "HB")) else n,
    }
    for change in spelt.values():
        other = raw.copy()
        other.var_names = [change(name) for name in raw.var_names]
        got = prepared(other).obs
        for name in ("pct_counts_mt", "pct_counts_ribo", "pct_counts_hb"):
            np.testing.assert_array_equal(got[name], want[name])
    other.var_names = [name.replace("MT-", "Mito") for name in raw.var_names]
    assert "no mitochondrial gene is recognised" in notes(prepared(other))
    assert "mitochondrial" not in notes(prepared(raw))


def test_names_in_a_file_may_be_those_of_a_named_column(tmp_path):
    raw = screen()
    raw.var["hgnc"] = [f"H{i}" for i in range(raw.n_vars)]
    (tmp_path / "names.txt").write_text("H5\nH7\n")
    result = prepared(raw, network_genes=str(tmp_path / "names.txt"), gene_name_key="hgnc")
    assert list(result.uns["gpo_vae"]["dosage_names"])[4:] == ["GENE001", "GENE003"]
