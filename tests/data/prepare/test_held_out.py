"""Perturbations held out whole: which ones, and what preparation does with them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpo_vae_jax.data import from_anndata
from gpo_vae_jax.data.prepare.held_out import RULES, held_out
from gpo_vae_jax.errors import DataError
from tests.data.prepare.raw.screens import CONTROL, notes, of_genes, prepared, relabelled, screen

SINGLES = [(f"G{i:02d}",) for i in range(20)]
PAIRS = [(f"G{i:02d}", f"G{j:02d}") for i in range(6) for j in range(i + 1, 6)]
names = st.lists(st.sampled_from("ABCDEFGHIJ"), min_size=1, max_size=3, unique=True)
groups_of = st.lists(names.map(lambda group: tuple(sorted(group))), min_size=1, max_size=40)


def test_twenty_per_cent_of_the_perturbations_are_tested():
    parts = held_out([(), *SINGLES, *PAIRS], "by_perturbation", 0)
    assert list(parts.values()).count("test") == 7  # of 35
    assert list(parts.values()).count("val") == 6  # of 28
    assert () not in parts


def test_combinations_alone_are_held_out_and_leave_every_gene_in_training():
    parts = held_out([(), *PAIRS], "by_combination", 1)
    assert (list(parts.values()).count("test"), list(parts.values()).count("val")) == (3, 3)
    trained = set(PAIRS) - set(parts)
    assert {gene for pair in trained for gene in pair} == {gene for pair in PAIRS for gene in pair}
    assert set(held_out([*SINGLES, *PAIRS], "by_combination", 1)) <= set(PAIRS)


def test_gears_holds_out_genes_with_all_their_combinations():
    parts = held_out([*SINGLES, *PAIRS], "gears", 3)
    unseen = {group[0] for group in SINGLES if parts.get(group) == "test"}
    assert len(unseen) == 5  # a quarter of 20 genes
    for pair in PAIRS:
        if unseen.intersection(pair):
            assert parts[pair] == "test"
    both = [pair for pair in PAIRS if not unseen.intersection(pair)]
    tested = sum(parts.get(pair) == "test" for pair in both)
    assert tested == len(both) - int(0.75 * len(both))
    for group, part in parts.items():
        if part == "val" and len(group) == 1:
            assert all(parts.get(pair) in ("test", "val") for pair in PAIRS if group[0] in pair)


@given(groups_of, st.sampled_from(RULES), st.integers(0, 5))
def test_the_order_does_not_matter_and_controls_are_never_held_out(groups, rule, seed):
    chosen = {group for group in groups if rule != "by_combination" or len(group) > 1}
    if len(chosen) < 3:
        with pytest.raises(DataError, match="needs 3"):
            held_out([(), *groups], rule, seed)
        return
    parts = held_out([(), *groups], rule, seed)
    assert held_out([*reversed(groups), ()], rule, seed) == parts
    assert () not in parts and set(parts) <= set(groups)
    assert set(parts.values()) <= {"test", "val"}
    if rule == "by_combination":
        left = {gene for group in set(groups) - set(parts) for gene in group}
        assert left == {gene for group in groups for gene in group}


def test_another_seed_holds_out_others():
    chosen = [frozenset(held_out(SINGLES, "by_perturbation", seed)) for seed in range(5)]
    assert len(set(chosen)) == 5


def test_too_few_to_hold_out():
    with pytest.raises(DataError, match=r"whole combinations, and there are 0; it needs 3"):
        held_out(SINGLES, "by_combination", 0)
    with pytest.raises(DataError, match=r"split=by_perturbation .* there are 2.*by_name"):
        prepared(screen(200)[screen(200).obs["perturbation"].isin(["MYC", "SPI1", CONTROL])].copy(),
                 split="by_perturbation")  # fmt: skip


def test_a_held_out_perturbation_has_no_cell_in_another_part():
    result = prepared(screen(400), split="by_perturbation")
    split, label = result.obs["split"].astype(str), result.obs["perturbation"].astype(str)
    parts = {name: set(split[label == name]) for name in set(label)}
    whole = {name: part for name, part in parts.items() if part in ({"test"}, {"val"})}
    assert len(whole) == 2 and CONTROL not in whole
    assert all(parts[name] == {"train", "val", "test"} for name in set(parts) - set(whole))
    assert result.n_obs == 400
    assert "2 perturbations without training cells: " in notes(result)
    dataset = from_anndata(result)
    unseen = [dataset.treatments[i] for i in dataset.sizes.unseen if i < dataset.n_perturbed]
    assert set(unseen) == set(whole)


def test_the_least_min_cells_is_named_beside_what_is_held_out():
    """GENE000 has two cells, of which none may be in training; held-out genes are no reason."""
    adata = screen(400)
    two = np.flatnonzero(adata.obs["perturbation"] != CONTROL)[:2]
    adata = relabelled(of_genes(lambda label, i: "GENE000" if i in two else label), adata)
    for seed in range(30):
        settings = {"split": "by_perturbation", "min_cells": 0, "seed": seed}
        try:
            prepared(adata.copy(), **settings)
        except DataError as error:
            assert "config.prepare.min_cells=2 is the least" in str(error)  # noqa: PT017
            settings["min_cells"] = 2
            assert "GENE000" not in set(prepared(adata.copy(), **settings).obs["perturbation"])
            return
    pytest.fail("no seed leaves GENE000 without training cells")


def test_a_column_that_holds_perturbations_out_is_taken_as_it_is():
    adata = screen(400)
    adata.obs["split"] = np.tile(["train", "train", "train", "val", "test"], 80)
    adata.obs.loc[adata.obs["perturbation"] == "MYC", "split"] = "test"
    result = prepared(adata)
    label = result.obs["perturbation"] == "MYC"
    assert set(result.obs["split"][label]) == {"test"}
    assert (
        "1 perturbation without training cells: MYC; evaluated apart; 1 gene perturbed in no "
        "training cell; obs['split'] says so, config.prepare.split_key= (empty)"
    ) in notes(result)
    drawn = prepared(adata, split="by_perturbation")
    assert "obs['split'] is not used: config.prepare.split=by_perturbation" in notes(drawn)


def test_held_out_cells_choose_no_genes_of_the_network():
    """GENE000 responds to SPI1 alone, so only a training set with SPI1 can bring it in."""
    adata = screen(600, depth=6000.0)
    follows = adata.var_names[7]
    adata.obs["split"] = np.tile(["train", "train", "train", "val", "test"], 120)
    settings = {"extended_log_fold_change": 0.5, "extended_p": 0.05}
    with_it = prepared(adata.copy(), **settings).uns["gpo_vae"]["dosage_names"]
    assert follows in with_it
    adata.obs.loc[adata.obs["perturbation"] == "SPI1", "split"] = "test"
    without = prepared(adata, **settings).uns["gpo_vae"]["dosage_names"]
    assert follows not in without


def test_held_out_combinations_are_noted_with_their_genes():
    pairs = ["GATA1+KLF1", "GATA1+MYC", "KLF1+MYC", "MYC+SPI1"]
    change = of_genes(lambda label, i: pairs[i // 8 % 4] if i % 8 < 4 else label)
    result = prepared(relabelled(change, screen(800)), split="by_combination")
    split, label = result.obs["split"].astype(str), result.obs["perturbation"].astype(str)
    whole = {name for name in set(label) if "train" not in set(split[label == name])}
    assert len(whole) == 2 and whole <= set(pairs)
    stage = next(s for s in json.loads(result.uns["gpo_vae"]["stages"]) if s["stage"] == "split")
    assert set(stage["without_cells_in_train"]) == whole and "by_combination" in stage["by"]
    assert "0 genes perturbed in no training cell" in notes(result)
