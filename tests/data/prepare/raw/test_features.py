"""Features that are no genes, and symbols that several genes share."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from gpo_vae_jax.data.prepare.raw.features import find_genes
from gpo_vae_jax.errors import DataError
from tests.data.prepare.raw.screens import GENES, labels, notes, prepared, screen, sizes

GUIDES = [*(f"{gene}_sg{k}" for gene in GENES for k in (1, 2)), "NT_sg1", "NT_sg2"]


def with_guides(raw, column="feature_types", kinds=("Gene Expression", "CRISPR Guide Capture")):
    """Return a screen whose matrix has a block of guide counts behind the genes."""
    rng = np.random.default_rng(0)
    block = rng.poisson(0.05, (raw.n_obs, len(GUIDES))).astype(np.float32)
    for i, label in enumerate(raw.obs["perturbation"]):
        name = f"{label}_sg{i // 4 % 2 + 1}".replace("non-targeting", "NT")
        block[i, GUIDES.index(name)] += 150
    var = pd.DataFrame(index=[*raw.var_names, *GUIDES])
    if column:
        var[column] = [kinds[0]] * raw.n_vars + [kinds[1]] * len(GUIDES)
    return anndata.AnnData(sparse.hstack([raw.X, block]).tocsr(), raw.obs, var)


@pytest.mark.parametrize(
    ("column", "kinds"),
    [
        ("feature_types", ("Gene Expression", "CRISPR Guide Capture")),
        ("feature_type", ("gene_expression", "Custom")),
        ("modality", ("rna", "gdo")),
        ("", ()),
    ],
)
def test_guides_are_no_genes(column, kinds):
    raw = screen()
    want = prepared(raw)
    got = prepared(with_guides(raw, column, kinds))
    assert list(got.var_names) == list(want.var_names)
    np.testing.assert_array_equal(got.X.toarray(), want.X.toarray())
    np.testing.assert_array_equal(got.obsm["delta_x"], want.obsm["delta_x"])
    for name in ("UMI_count", "ngenes", "qc_fail"):
        np.testing.assert_array_equal(got.obs[name], want.obs[name])
    names = list(got.uns["gpo_vae"]["dosage_names"])
    assert names == list(want.uns["gpo_vae"]["dosage_names"])
    assert ("sets 10" in notes(got)) or ("10 features are named as guides" in notes(got))


def test_a_column_of_one_type_says_nothing():
    raw = screen()
    raw.var["feature_types"] = "Gene Expression"
    assert "aside" not in notes(prepared(raw))
    raw.var["feature_types"] = "Peaks"
    with pytest.raises(
        DataError, match=r"no feature is a gene: var\['feature_types'\] has .*Peaks"
    ):
        prepared(raw)


def test_other_columns_of_types_are_left_alone():
    var = pd.DataFrame({"modality": ["a", "b"]}, index=["G1", "G2"])
    assert find_genes(var).genes.tolist() == [0, 1]


@pytest.mark.filterwarnings("ignore:Variable names are not unique:UserWarning")
def test_shared_symbols_that_nobody_perturbed_stand_apart():
    raw = screen()
    raw.var_names = [*raw.var_names[:8], "GENE003", *raw.var_names[9:]]
    result = prepared(raw)
    assert labels(result) == sizes(raw) and result.n_vars == raw.n_vars
    assert {"GENE003", "GENE003-1"} <= set(result.var_names)
    assert "GENE003 and GENE003-1" in notes(result)


@pytest.mark.filterwarnings("ignore:Variable names are not unique:UserWarning")
@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
def test_a_shared_symbol_that_is_perturbed_is_added_up(form):
    raw = screen()
    names = list(raw.var_names)
    names[8] = "GATA1"
    values = raw.X.toarray()
    raw = anndata.AnnData(form(values), raw.obs, pd.DataFrame(index=names))
    result = prepared(raw)
    got = result[:, "GATA1"].X
    got = got.toarray() if sparse.issparse(got) else got
    np.testing.assert_array_equal(got.ravel(), values[:, 0] + values[:, 8])
    assert result.n_vars == raw.n_vars - 1 and "added up where it is perturbed: GATA1" in notes(
        result
    )
    others = [name for name in result.var_names if name != "GATA1"]
    rest = result[:, others].X
    want = np.delete(values, [0, 8], axis=1)
    np.testing.assert_array_equal(rest.toarray() if sparse.issparse(rest) else rest, want)


@pytest.mark.filterwarnings("ignore:Variable names are not unique:UserWarning")
def test_ids_tell_genes_of_one_symbol_apart():
    raw = screen()
    raw.var["gene_ids"] = [f"ENSG{i:011d}" for i in range(raw.n_vars)]
    names = list(raw.var_names)
    names[8] = "GATA1"
    raw.var_names = names
    raw.obs["perturbation"] = [
        "ENSG00000000008" if x == "GATA1" else x for x in raw.obs["perturbation"].astype(str)
    ]
    result = prepared(raw)
    assert "GATA1-1" in labels(result) and result.n_vars == raw.n_vars
    assert "GATA1 and GATA1-1" in notes(result)


def test_names_with_blanks_and_columns_that_cannot_be_stored(tmp_path):
    raw = screen()
    raw.var_names = [f" {name} " for name in raw.var_names]
    raw.var["_index"] = 1
    raw.obs["_index"] = 2
    result = prepared(raw)
    assert list(result.var_names)[:4] == list(GENES)
    assert "index_" in result.var and "index_" in result.obs
    result.write_h5ad(tmp_path / "x.h5ad")
