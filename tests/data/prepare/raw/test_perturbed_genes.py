"""Cell labels: how they are split, and which gene a name means."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data.gene_names import gene_aliases, symbols
from gpo_vae_jax.data.labels import cut_label
from gpo_vae_jax.data.prepare.raw.perturbed_genes import joined_by, read_perturbations
from gpo_vae_jax.errors import DataError

KNOWN = {"A", "B", "HLA-A", "MT_X", "X", "C_1", "C", "control"}


@pytest.mark.parametrize(
    ("label", "separator", "expected"),
    [
        ("A+B", "+", ("A", "B")),
        ("A + B", "+", ("A", "B")),
        ("A+unknown", "+", ("A", "unknown")),
        ("p+q", "+", ("p", "q")),  # "+" stands in no name
        ("A_B", "_", ("A", "B")),
        ("MT_X", "_", ("MT_X",)),  # a known name is never cut
        ("MT_X_A", "_", ("MT_X", "A")),
        ("A_MT_X", "_", ("A", "MT_X")),
        ("C_1_C", "_", ("C_1", "C")),
        ("A_Z", "_", ("A", "Z")),
        ("Z_1", "_", ("Z_1",)),  # nothing known in it: one name
        ("Z_1_A", "_", ("Z_1", "A")),
        ("A_B_X", "_", ("A", "B", "X")),
        ("HLA-A", "-", ("HLA-A",)),
        ("HLA-A-B", "-", ("HLA-A", "B")),
        ("A_B", "", ("A_B",)),
        ("++", "+", ()),
    ],
)
def test_labels_are_cut_where_names_are_joined(label, separator, expected):
    assert cut_label(label, separator, KNOWN) == expected


@given(st.lists(st.sampled_from(sorted(KNOWN)), min_size=1, max_size=4))
def test_a_cut_loses_nothing_and_leaves_known_names(names):
    label = "_".join(names)
    pieces = cut_label(label, "_", KNOWN)
    assert "_".join(pieces) == label and set(pieces) <= KNOWN and len(pieces) <= len(names)


def read(labels, var, config, **obs):
    frame = pd.DataFrame({config.perturbation_key: labels, **obs})
    return read_perturbations(np.asarray(labels, str), frame, var, config)


def genes_of_cells(cells):
    return [cells.genes[code] for code in cells.code]


def test_gears():
    var = pd.DataFrame(index=["A", "B"])
    config = PrepareConfig(perturbation_key="condition", control="ctrl")
    cells = read(["A+ctrl", "ctrl+A", "B+A", "A+B", "ctrl", "ctrl+ctrl"], var, config)
    assert genes_of_cells(cells) == [("A",), ("A",), ("A", "B"), ("A", "B"), (), ()]
    assert cells.is_control.tolist() == [0, 0, 0, 0, 1, 1]
    assert cells.counted(np.arange(6)) == 2


def test_scperturb_with_names_that_hold_the_separator():
    var = pd.DataFrame(index=["A", "B_C", "HLA-A"])
    config = PrepareConfig(control="control", combination_separator="_")
    labels = ["A", "B_C", "A_B_C", "HLA-A_A", "Z", "Z_A", "control"]
    assert genes_of_cells(read(labels, var, config)) == [
        ("A",), ("B_C",), ("A", "B_C"), ("A", "HLA-A"), ("Z",), ("A", "Z"), (),
    ]  # fmt: skip


IDS = pd.DataFrame(
    {"gene_name": ["A", "B", "twice", "twice"]},
    index=["ENSG1", "ENSG2", "ENSG3", "ENSG4"],
)


def test_symbols_name_genes_whose_var_names_are_ids():
    config = PrepareConfig(perturbation_key="gene")
    cells = read(["A", "A+B", "ENSG2", "absent", "non-targeting"], IDS, config)
    assert genes_of_cells(cells) == [
        ("ENSG1",), ("ENSG1", "ENSG2"), ("ENSG2",), ("absent",), (),
    ]  # fmt: skip
    assert cells.names["ENSG1"] == {"ENSG1", "A"}


def test_ids_name_genes_whose_var_names_are_symbols():
    var = pd.DataFrame({"gene_id": ["ENSG1", "ENSG2"]}, index=["A", "B"])
    cells = read(["ENSG1", "B", "non-targeting"], var, PrepareConfig())
    assert genes_of_cells(cells) == [("A",), ("B",), ()]


def test_an_id_beside_the_label_tells_what_a_name_alone_does_not():
    """Replogle's files have gene and gene_id in obs; a symbol shared by two genes means neither."""
    config = PrepareConfig(perturbation_key="gene")
    labels = ["twice", "alone", "non-targeting"]
    assert genes_of_cells(read(labels, IDS, config))[0] == ("twice",)
    ids = ["ENSG4", "ENSG1", "non-targeting"]
    found = genes_of_cells(read(labels, IDS, config, gene_id=ids))
    assert found == [("ENSG4",), ("ENSG1",), ()]


def test_a_named_column_of_other_names():
    var = pd.DataFrame({"hgnc": ["A"]}, index=["x"])
    assert gene_aliases(var) == {} and gene_aliases(var, "hgnc") == {"A": "x"}
    with pytest.raises(DataError, match="no column 'hgnk'; there are: hgnc"):
        gene_aliases(var, "hgnk")


def test_symbols_find_mitochondrial_genes():
    ids = pd.DataFrame({"gene_name": ["MT-ND1", "A"]}, index=["ENSG00000198888", "ENSG01"])
    assert symbols(ids)[0] == ["MT-ND1", "A"] and "gene_name" in symbols(ids)[1]
    names, note = symbols(ids.drop(columns="gene_name"))
    assert names == list(ids.index) and "shares are 0" in note
    assert symbols(ids.set_index("gene_name")) == (["MT-ND1", "A"], "")


def test_a_label_without_a_name():
    with pytest.raises(DataError, match="'\\+', which names no gene"):
        read(["A", "+", "non-targeting"], pd.DataFrame(index=["A"]), PrepareConfig())


def test_the_separator_of_prepared_files():
    assert joined_by([("A_B",), ("A_B", "C")]) == "+"
    assert joined_by([("A+B",)]) == ""
    with pytest.raises(DataError, match="has '\\+'"):
        joined_by([("A+B",), ("A", "C")])
