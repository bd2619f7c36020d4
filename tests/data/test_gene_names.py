"""Suggestions for unknown gene names."""

import pytest

from gpo_vae_jax.data.gene_names import meant_gene

KNOWN = ["TP53", "STK3", "HLA-A", "NKX2-1", "NKX2-5", "GATA1", "LINC01234", "ENSG00000141510"]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("tp53", "TP53"),
        ("HLA.A", "HLA-A"),
        ("hla_a", "HLA-A"),
        ("Nkx2-5", "NKX2-5"),
        ("TP53.2", "TP53"),
        ("GATA1-1", "GATA1"),
        ("ENSG00000141510.12", "ENSG00000141510"),
        ("LNIC01234", "LINC01234"),
    ],
)
def test_a_variant_of_a_known_name_is_suggested(name, known):
    assert meant_gene(name, KNOWN) == f"did you mean {known!r}?"


@pytest.mark.parametrize("name", ["TP63", "STK33", "GATA2", "NKX2-2", "ENSG00000141519", "", "-"])
def test_another_gene_is_not_a_misspelt_one(name):
    assert meant_gene(name, KNOWN).startswith("known names: ENSG00000141510, GATA1, HLA-A, LINC")


def test_few_of_many_known_names_are_listed():
    assert meant_gene("TP53", [f"G{i:02d}" for i in range(30)]).endswith("G11 and 18 more")
