"""Names of genes among the treatments: exact first, then ignoring case, never ambiguous."""

import hypothesis.strategies as st
from hypothesis import given

from gpo_vae_jax.evaluate.knowledge.names import positions

TREATMENTS = ["TP53", "ENSG00000141510.17", "abc", "ABC", "10", "Myc"]


def test_a_name_means_the_treatment_that_is_spelled_so():
    assert positions(TREATMENTS, TREATMENTS) == {name: i for i, name in enumerate(TREATMENTS)}


def test_case_counts_only_where_spellings_differ_by_it():
    found = positions(["tp53", "MYC", "Abc", "abc"], TREATMENTS)
    assert found == {"tp53": 0, "MYC": 5, "abc": 2}  # Abc might be abc or ABC


def test_versions_of_ensembl_ids_do_not_count_on_either_side():
    found = positions(["ENSG00000141510", "ENSG00000141510.3", "10.1"], TREATMENTS)
    assert found == {"ENSG00000141510": 1, "ENSG00000141510.3": 1}


def test_aliases_lead_to_treatments_and_never_past_them():
    aliases = {"BRCA1": "TP53", "myc": "GENE_OUTSIDE", "ENSG00000136997.1": "Myc", "TP53": "abc"}
    found = positions(["BRCA1", "brca1", "myc", "ENSG00000136997", "TP53"], TREATMENTS, aliases)
    assert found == {"BRCA1": 0, "brca1": 0, "ENSG00000136997": 5, "TP53": 0}


@given(st.lists(st.text("aAbB1.", min_size=1, max_size=3), unique=True, min_size=1), st.data())
def test_order_of_treatments_moves_positions_and_nothing_else(names, data):
    shuffled = data.draw(st.permutations(names))
    asked = data.draw(st.lists(st.text("aAbB1.", max_size=3)))
    straight, other = positions(asked, names), positions(asked, shuffled)
    assert {k: names[i] for k, i in straight.items()} == {k: shuffled[i] for k, i in other.items()}
