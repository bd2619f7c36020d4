"""What joins the names of a combination."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpo_vae_jax.data.labels import cut_label, most_separators
from gpo_vae_jax.data.prepare.raw.separators import find_separator, names_several
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


def find(name):
    return name.strip() if name.strip() in (*GENES, "HLA-A", "NT-1") else ""


@pytest.mark.parametrize(
    "separator", [",", ";", "|", "&", "/", "_", "-", ":", ".", "__", " || ", " & "]
)
def test_any_usual_separator_is_found(separator):
    raw = screen()
    pair = dict(zip(GENES, [*GENES[1:], GENES[0]], strict=True))
    change = of_genes(lambda x, i: separator.join((x, pair[x])) if i % 8 < 4 else x)
    before = sizes(raw)
    raw = relabelled(change, raw)
    result = prepared(raw)
    found = labels(result)
    assert sum(found.values()) == 300 and found[CONTROL] == before[CONTROL]
    doubles = {"+".join(sorted((x, pair[x]))) for x in GENES}
    assert set(found) == {CONTROL, *GENES, *doubles}
    for gene in GENES:
        alone = sum(label == gene for label in raw.obs["perturbation"])
        assert found[gene] == alone
    assert "combinations are joined by" in notes(result)


def test_a_separator_that_is_set_is_kept():
    change = of_genes(lambda x, i: f"{x},MYC" if i % 8 < 4 and x != "MYC" else x)
    result = prepared(relabelled(change), combination_separator=";")
    assert "GATA1,MYC" in labels(result) and "joined by" not in notes(result)
    assert "'GATA1,MYC' may be 'GATA1' or 'MYC'" in notes(result)


@pytest.mark.parametrize("separator", ["+", ""])
def test_a_column_of_genes_beside_does_not_swallow_combinations(separator):
    raw = screen()
    raw.obs["gene"] = raw.obs["perturbation"].astype(str)
    change = of_genes(lambda x, i: f"{x}|{'KLF1' if x == 'MYC' else 'MYC'}" if i % 8 < 4 else x)
    raw = relabelled(change, raw)
    alone = int((raw.obs["perturbation"] == "SPI1").sum())
    result = prepared(raw, perturbation_key="perturbation", combination_separator=separator)
    assert labels(result)["SPI1"] == alone
    joint = "MYC+SPI1" if separator else "SPI1|MYC"
    assert labels(result)[joint] == int((raw.obs["perturbation"] == "SPI1|MYC").sum())


def test_unmeasured_genes_with_a_dash_are_no_combinations():
    assert find_separator(["GATA1-MYC"], find) == ("", [])  # one alone may be a name
    assert find_separator(["HLA-B", "NKX2-1"], find) == ("", [])
    assert find_separator(["GATA1,ABSENT", "X,Y", "GATA1,MYC"], find) == ("", [])
    assert find_separator(["GATA1|NT-1", "MYC|NT-1"], find)[0] == "|"
    assert names_several("GATA1|MYC", find) and not names_several("GATA1|ENSG1", find)


@given(st.lists(st.sampled_from(["A", "B", "C_D", "x", "y_z", ""]), min_size=1, max_size=9))
def test_a_bound_on_known_names_changes_no_cut(names):
    label, known = "_".join(names), {"A", "B", "C_D"}
    assert cut_label(label, "_", known, most_separators("_", known)) == cut_label(label, "_", known)
    assert cut_label(label, "_", {"A", "B"}, 0) == cut_label(label, "_", {"A", "B"})


def test_labels_of_any_length_are_cut():
    label = "_".join(f"chr1.{i}_top_two" for i in range(30_000)) + "_A_" + "_".join("xyz" * 9999)
    for known in ({"A"}, {"A", "B_C"}):
        pieces = cut_label(label, "_", known, most_separators("_", known))
        assert len(pieces) == 3 and pieces[1] == "A"
