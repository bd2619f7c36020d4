"""Labels that name guides, and what was done to a gene."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpo_vae_jax.data.prepare.raw.guide_labels import gene_of_guide, variant_of
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

KNOWN = {"GATA1": "GATA1", "KLF1": "KLF1", "ENSG00000102145": "GATA1", "HLA-A": "HLA-A", "A": "A"}


def find(name):
    return KNOWN.get(name.strip(), "")


@pytest.mark.parametrize(
    "label",
    [
        *("GATA1_sg1", "GATA1g2", "GATA1sg2", "GATA1-3", "GATA1.1", "GATA1:2", "GATA1_02"),
        *("GATA1 (sg1)", "GATA1_P1P2", "GATA1_guide_2", "GATA1_sgRNA1", "GATA1_rep1"),
        *("GATA1|ENSG00000102145|P1P2", "GATA1_ENSG00000102145", "GATA1_+_48649518.23-P1P2"),
        *("sgGATA1_1", "sg-GATA1-2", "p_sgGATA1_3", "GATA1_ACGTACGTACGTACGTACGT"),
        *("GATA1_KO", "GATA1_0.1", "GATA1_10nM", "GATA1_pDS001", "m_GATA1_4", "GATA1_DS266"),
        "3273_GATA1_P1P2_ENSG00000102145",
    ],
)
def test_guides_of_a_gene(label):
    assert gene_of_guide(label, find) == "GATA1"


@pytest.mark.parametrize(
    "label",
    [
        "GATA1_KLF1",
        "GATA1_foo",
        "HLA-A_A",
        "XYZ_sg1",
        "GATA1_100",
        "ABCG2",
        "GATA1-KLF1-1",
        "1-Mar",
    ],
)
def test_labels_that_are_no_guides(label):
    assert gene_of_guide(label, find) == ""


def test_the_longest_known_name_counts():
    assert gene_of_guide("HLA-A-2", find) == "HLA-A" and gene_of_guide("A-2", find) == "A"


@given(st.text("GATA1_-|.sgNTK0 ", max_size=40))
def test_any_text_gives_a_known_gene_or_none(text):
    assert gene_of_guide(text, find) in {"", *KNOWN.values()}


@pytest.mark.parametrize(
    ("label", "variant"),
    [
        *(("A_KO", "ko"), ("A-OE", "oe"), ("A_KO_2", "ko"), ("A_0.1", "0.1"), ("A_10nM", "10nm")),
        *(("A_sg1", ""), ("A", ""), ("KO", ""), ("A_+_486.23-P1", ""), ("A 24h", "24h")),
    ],
)
def test_what_was_done(label, variant):
    assert variant_of(label) == variant


@pytest.mark.parametrize(
    "spelling", ["{}_sg{}", "{}g{}", "{}-{}", "{}|ENSG00000000001|P{}", "sg{}_{}", "{}_{}_guide"]
)
def test_guides_are_their_gene_and_stay_in_a_column(spelling):
    raw = screen()
    before = sizes(raw)
    result = prepared(relabelled(of_genes(lambda x, i: spelling.format(x, i // 4 % 2 + 1)), raw))
    assert labels(result) == before
    assert list(result.uns["gpo_vae"]["dosage_names"])[:4] == list(GENES)
    first = spelling.format("GATA1", 1)
    assert "8 labels are guides of 4 genes: GATA1" in notes(result) and first in notes(result)
    mapping = json.loads(result.uns["gpo_vae"]["labels"])
    assert len(mapping) == 8 and mapping[first] == "GATA1"
    guide = result.obs["guide"].astype(str)
    assert (guide == result.obs["raw_perturbation"]).all() and guide.nunique() == 9


def test_guides_can_be_left_as_they_are():
    raw = relabelled(of_genes(lambda x, i: f"{x}_sg{i // 4 % 2 + 1}" if x == "MYC" else x))
    result = prepared(raw, guide_labels="whole")
    assert {"MYC_sg1", "MYC_sg2"} <= set(labels(result)) and "MYC" not in labels(result)
    assert "2 perturbed genes of" in notes(result) and "'MYC_sg1' may be 'MYC'" in notes(result)


def test_knock_out_and_overexpression_stay_apart_unless_asked():
    change = of_genes(lambda x, i: f"{x}_{'KO' if i // 4 % 2 else 'OE'}" if x == "MYC" else x)
    raw = screen()
    before = sizes(raw)
    raw = relabelled(change, raw)
    result = prepared(raw.copy())
    found = labels(result)
    assert found["MYC_ko"] + found["MYC_oe"] == before["MYC"] and found["MYC_ko"] > 5
    assert "different things were done to MYC (MYC_ko, MYC_oe)" in notes(result)
    assert labels(prepared(raw.copy(), same_gene="merge")) == before


def test_doses_beside_a_column_of_genes_stay_apart():
    raw = screen()
    raw.obs["gene_id"] = raw.obs["perturbation"].astype(str)
    change = of_genes(lambda x, i: f"{x}-{(0.1, 0.5)[i // 4 % 2]}" if x == "MYC" else x)
    found = labels(prepared(relabelled(change, raw)))
    assert {"MYC_0.1", "MYC_0.5"} <= set(found) and "MYC" not in found


def test_one_kind_of_change_to_each_gene_is_that_gene():
    raw = screen()
    before = sizes(raw)
    assert labels(prepared(relabelled(of_genes(lambda x, i: f"{x}_KO"), raw))) == before


def test_if_every_gene_is_apart_the_error_says_how_to_go_on():
    change = of_genes(lambda x, i: f"{x}_{'KO' if i // 4 % 2 else 'OE'}")
    with pytest.raises(DataError, match=r"different things were done.*same_gene=merge"):
        prepared(relabelled(change))


def test_guides_in_a_column_beside_are_kept():
    raw = screen()
    raw.obs["sgRNA"] = [f"{x}_{i % 3}" for i, x in enumerate(raw.obs["perturbation"])]
    result = prepared(raw)
    assert (result.obs["guide"].astype(str) == result.obs["sgRNA"]).all()
    assert "guide" not in prepared(screen()).obs
    assert CONTROL in labels(result) and np.unique(result.obs["guide"]).size == 15


def test_a_named_column_of_guides_may_have_gaps():
    raw = screen()
    raw.obs["vector"] = [None if i % 10 == 0 else f"v{i % 4}" for i in range(raw.n_obs)]
    guide = prepared(raw, guide_key="vector").obs["guide"].astype(str)
    assert list(guide[:5]) == ["", "v1", "v2", "v3", "v0"] and (guide == "").sum() == 30
    with pytest.raises(DataError, match="guide_key: obs has no column 'vektor'"):
        prepared(raw, guide_key="vektor")
