"""Real data: TAP-seq in K562 (Schraivogel 2020) against recorded results of the original."""

import anndata
import numpy as np
import pytest

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import counts, from_anndata, from_arrays, prepare
from gpo_vae_jax.data.prepare.matching import control_matching as matching

CONFIG = PrepareConfig(
    perturbation_key="gene",
    split="reference",
    extended_genes="none",
    # three haemoglobin genes and one ribosomal gene say nothing about the whole transcriptome
    qc_metrics=("UMI_count", "ngenes"),
)


@pytest.fixture(scope="module")
def recorded(request):
    shared = request.getfixturevalue("shared_module")
    with np.load(shared("reference_runs/schraivogel_prepared.npz")) as file:
        return dict(file)


@pytest.fixture(scope="module")
def shared_module():
    from tests import paths

    def path(name):
        file = paths.shared_folder() / name
        if not file.exists():
            pytest.skip(f"{name} is not there; set GPO_VAE_JAX_DATA to the folder that holds it")
        return file

    return path


@pytest.fixture(scope="module")
def prepared(shared_module):
    raw = anndata.read_h5ad(shared_module("data/schraivogel2020_tapseq_k562_72g.h5ad"))
    return prepare(raw, CONFIG)


def test_split_quality_matches_and_delta_are_the_recorded_ones(prepared, recorded):
    obs, record = prepared.obs, prepared.uns["gpo_vae"]
    np.testing.assert_array_equal(obs["split"], recorded["split"])
    np.testing.assert_array_equal(obs["qc_fail"], recorded["qc"][:, 0])
    matched = prepared.obs_names.get_indexer(obs["matched_control"])
    np.testing.assert_array_equal(matched, recorded["matched_control"])
    n = record["n_perturbed"]
    assert list(record["dosage_names"]) == list(recorded["T"][:n])
    np.testing.assert_allclose(prepared.obsm["delta_x"], recorded["deltaX"][:, :n], atol=2e-6)


def test_delta_of_all_recorded_treatments(recorded):
    """The recorded extended genes were chosen differently, but their delta is defined alike."""
    factor = counts.normalisation(counts.library_size(recorded["X"]))
    columns = counts.gene_columns(recorded["T"], recorded["var"])
    expression = counts.log_normalised(recorded["X"][:, columns], factor)
    delta = matching.delta_expression(expression, recorded["matched_control"])
    np.testing.assert_allclose(delta, recorded["deltaX"], atol=2e-6)


def test_counterfactuals_have_the_recorded_distribution(prepared, recorded):
    """The original did not seed its draws: only their distribution can be compared."""
    ours = prepared.layers["counterfactual"].toarray()
    np.testing.assert_array_equal(ours.any(axis=1), recorded["cfX"].any(axis=1))
    np.testing.assert_allclose(ours.mean(axis=0), recorded["cfX"].mean(axis=0), rtol=0.1, atol=0.05)


def test_the_recorded_arrays_make_the_same_dataset(prepared, recorded):
    ours = from_anndata(prepared)
    theirs = from_arrays(
        counts=recorded["X"],
        dosage=recorded["D"],
        qc_fail=recorded["qc"],
        counterfactual=recorded["cfX"],
        delta=recorded["deltaX"],
        split=recorded["split"],
        treatments=recorded["T"],
        n_perturbed=int(recorded["n_perturbed"]),
        genes=recorded["var"],
    )
    for name in ours.splits:
        have, want = ours.splits[name], theirs.splits[name]
        for field in ("counts", "library_size", "qc_fail", "perturbation", "dosage"):
            np.testing.assert_array_equal(getattr(have.cells, field), getattr(want.cells, field))
        np.testing.assert_array_equal(
            have.context.treatment_cells, want.context.treatment_cells[: len(ours.treatments)]
        )
        for a, b in zip(have.context.statistics, want.context.statistics, strict=True):
            np.testing.assert_array_equal(a, b)
    n = ours.n_perturbed
    np.testing.assert_array_equal(ours.tables["test"], theirs.tables["test"][:, :n])
