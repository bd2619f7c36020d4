"""Genes under every name they go by."""

import pandas as pd
import pytest

from gpo_vae_jax.data.prepare.raw.gene_lookup import GeneLookup
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


def test_how_a_name_is_found():
    var = pd.DataFrame({"gene_id": ["ENSG00000000001.4", "nan"]}, index=["GATA1", "KLF1"])
    lookup = GeneLookup(var)
    assert lookup.find("GATA1") == ("GATA1", "") and lookup.find(" GATA1 ") == ("GATA1", "")
    assert lookup.find("ENSG00000000001.4") == ("GATA1", "")
    assert lookup.find("ENSG00000000001.9") == ("GATA1", "version")
    assert lookup.find("ENSG00000000001") == ("GATA1", "version")
    assert lookup.find("gata1") == ("GATA1", "case")
    for absent in ("nan", "", "NA", "GATA", "x" * 1000):
        assert lookup.find(absent) == ("", "")
    assert "klf1" in lookup and "klf" not in lookup


def test_names_that_genes_share_are_not_found():
    lookup = GeneLookup(
        pd.DataFrame(index=["Abc", "ABC", "ENSG00000000001.1", "ENSG00000000001.2"])
    )
    assert lookup.find("Abc") == ("Abc", "") and lookup.find("abc") == ("", "")
    assert lookup.find("ENSG00000000001") == ("", "")


@pytest.mark.parametrize(
    ("name", "near"),
    [("1-Mar", ["MARCHF1"]), ("Sep-02", ["SEPTIN2"]), ("GATTA1", ["GATA1"]), ("zzzz", [])],
)
def test_nearest_names(name, near):
    lookup = GeneLookup(pd.DataFrame(index=["MARCHF1", "SEPTIN2", "GATA1"]))
    assert lookup.nearest(name) == near


def ids(adata, versions=False):
    adata.var["symbol"] = adata.var_names
    names = [f"ENSG{i:011d}" for i in range(adata.n_vars)]
    at = dict(zip(adata.var_names, names, strict=True))
    adata.var_names = [f"{x}.{i % 9 + 1}" for i, x in enumerate(names)] if versions else names
    return at


def test_versions_of_ensembl_ids_on_either_side():
    for in_var in (True, False):
        raw = screen()
        before = sizes(raw)
        at = ids(raw, versions=in_var)
        suffix = "" if in_var else ".7"
        del raw.var["symbol"]
        result = prepared(relabelled(of_genes(lambda x, i, at=at, s=suffix: at[x] + s), raw))
        names = {
            gene: (f"{at[gene]}.{i + 1}" if in_var else at[gene]) for i, gene in enumerate(GENES)
        }
        assert labels(result) == {names.get(k, k): n for k, n in before.items()}
        assert "4 genes are found under a name of another Ensembl version" in notes(result)


def test_labels_in_human_case_and_genes_in_mouse_case():
    raw = screen()
    before = sizes(raw)
    raw.var_names = [name.capitalize() for name in raw.var_names]
    result = prepared(raw)
    assert labels(result) == {k if k == CONTROL else k.capitalize(): n for k, n in before.items()}
    assert "4 genes are found under a name in another case: Gata1 (GATA1)" in notes(result)


def test_a_missing_name_is_never_a_name():
    """Cells labelled nan, and a gene whose symbol is missing, do not meet; nor do missing ids."""
    raw = screen()
    before = sizes(raw)
    ids(raw)
    raw.var.loc[raw.var_names[9], "symbol"] = None
    raw.obs["gene_id"] = "nan"
    result = prepared(relabelled(lambda x, i: "nan" if i % 5 == 0 else x, raw))
    kept = [x for i, x in enumerate(screen().obs["perturbation"]) if i % 5]
    at = {gene: f"ENSG{i:011d}" for i, gene in enumerate(GENES)}
    assert labels(result) == {at.get(k, k): kept.count(k) for k in before}
    assert "60 of 300 cells (20%) are left out: input: their perturbation is not known (nan)" in (
        notes(result)
    )


@pytest.mark.parametrize("word", ["unassigned", "Multiplet", "NA", "no guide", "doublet", "None"])
def test_words_for_no_label_are_left_out_or_kept_as_unknown(word):
    raw = relabelled(lambda x, i: word if i % 5 == 0 else x)
    dropped = prepared(raw.copy())
    assert dropped.n_obs == 240 and word in notes(dropped)
    kept = prepared(raw.copy(), unlabelled="keep")
    assert labels(kept)["unknown"] == 60 and kept.n_obs == 300
    assert "unknown" in list(kept.uns["gpo_vae"]["dosage_names"])


@pytest.mark.parametrize("none", [None, "", float("nan"), "  "])
def test_cells_without_a_label_are_refused_until_a_setting_says_what_to_do(none):
    raw = relabelled(lambda x, i: none if i < 40 else x)
    with pytest.raises(DataError, match=r"missing in 40 cells.*unlabelled=drop.*unlabelled=keep"):
        prepared(raw.copy())
    assert prepared(raw.copy(), unlabelled="drop").n_obs == 260
    assert labels(prepared(raw.copy(), unlabelled="keep"))["unknown"] == 40


def test_a_table_says_what_numbers_stand_for(tmp_path):
    raw = screen()
    before = sizes(raw)
    number = {name: i for i, name in enumerate((*GENES, CONTROL))}
    raw = relabelled(lambda x, i: number[x], raw)
    with pytest.raises(DataError, match=r"has numbers, not names.*label_table=FILE"):
        prepared(raw.copy())
    table = pd.DataFrame({"label": list(number.values()), "gene": list(number)})
    for name, sep in (("table.csv", ","), ("table.tsv", "\t")):
        table.to_csv(tmp_path / name, sep=sep, index=False)
        assert labels(prepared(raw.copy(), label_table=str(tmp_path / name))) == before
    table[["label"]].to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(DataError, match="needs two"):
        prepared(raw.copy(), label_table=str(tmp_path / "short.csv"))
    with pytest.raises(DataError, match="label_table: there is no file"):
        prepared(raw.copy(), label_table="absent.csv")


def test_perturbations_as_cellxgene_writes_them():
    raw = screen()
    before = sizes(raw)
    at = ids(raw)
    raw.uns["genetic_perturbations"] = {
        **{
            f"guide_{gene}_{k}": {"role": "targeting", "derived_features": {at[gene]: gene}}
            for gene in GENES
            for k in (1, 2)
        },
        "guide_none": {"role": "control"},
    }

    def change(x, i):
        if x == CONTROL:
            return "na" if i % 2 else "guide_none"
        pair = sorted({f"guide_{x}_{i // 4 % 2 + 1}", "guide_MYC_1"}) if i % 3 == 0 else ""
        return " || ".join(pair) if pair else f"guide_{x}_1"

    raw = relabelled(change, raw, "genetic_perturbation_id")
    found = labels(prepared(raw))
    assert found["na"] == before[CONTROL] and sum(found.values()) == 300
    assert found[at["MYC"]] == before["MYC"]
    assert found[f"{at['GATA1']}+{at['MYC']}"] + found[at["GATA1"]] == before["GATA1"]
