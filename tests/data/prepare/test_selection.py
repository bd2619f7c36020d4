"""The cells that are kept: recorded filters, and small cases by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data.prepare import selection
from gpo_vae_jax.data.prepare.knockdown import knocked_down, low_limits, own_expression
from gpo_vae_jax.data.prepare.raw.perturbed_genes import read_perturbations


def read(label, genes, **settings):
    names = [f"c{i}" for i in range(len(label))]
    obs = pd.DataFrame({"perturbation": label}, index=names)
    var = pd.DataFrame(index=list(genes))
    return read_perturbations(np.asarray(label, str), obs, var, PrepareConfig(**settings))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_the_recorded_cells_are_kept(golden, form):
    recorded = golden("filters")
    counts = form(recorded["X"].astype(np.uint8))
    genes = [str(gene) for gene in recorded["var"]]
    cells = read(recorded["gene"], genes)
    rows, name = np.arange(900), np.array([f"c{i}" for i in range(900)])
    rows = rows[selection.with_low_target(cells, rows, counts, genes, 10.0)]
    np.testing.assert_array_equal(name[rows], recorded["kept_by_effect"])
    measured, missing = selection.of_measured(cells, rows, genes)
    assert missing == ["notmeasured"]
    rows = rows[measured]
    rows = rows[selection.of_large(cells, rows, np.ones(len(rows), bool), 30)]
    np.testing.assert_array_equal(name[rows], recorded["kept_by_amount_k30"])


def test_percentiles_are_interpolated():
    controls = np.array([[0, 5], [1, 5], [2, 5], [10, 7]])
    np.testing.assert_allclose(low_limits(controls, 10), [0.3, 5])
    np.testing.assert_allclose(low_limits(sparse.csr_matrix(controls), 50), [1.5, 5])
    many = np.random.default_rng(0).poisson(3.0, (50, 150))
    np.testing.assert_allclose(low_limits(many, 10), np.percentile(many, 10, axis=0))


def test_a_cell_needs_all_its_measured_targets_low():
    counts = np.array([[0, 5, 1], [9, 0, 1], [0, 0, 1], [0, 9, 1]])
    targets = np.array([[0, 1], [0, 1], [0, 1], [0, -1]])
    own = own_expression(sparse.csr_matrix(counts), targets)
    np.testing.assert_array_equal(own, [[0, 5], [9, 0], [0, 0], [0, np.nan]])
    limits = np.where(targets >= 0, 1.0, np.nan)
    assert knocked_down(own, limits).tolist() == [False, False, True, True]


def test_strong_needs_all_genes_of_a_combination_by_any_name():
    obs = pd.DataFrame(
        {"gene": ["A", "B", "A+B", "non-targeting", "C"], "gene_id": ["1", "2", "3", "4", "E3"]}
    )
    var = pd.DataFrame({"gene_id": ["E1", "E2"]}, index=["A", "B"])
    cells = read_perturbations(
        obs["gene"].to_numpy(str), obs, var, PrepareConfig(perturbation_key="gene")
    )
    rows = np.arange(5)
    assert selection.of_strong(cells, rows, ["A"]).tolist() == [1, 0, 0, 1, 0]
    assert selection.of_strong(cells, rows, ["A", "E2"]).tolist() == [1, 1, 1, 1, 0]
    assert selection.of_strong(cells, rows, ["E3"]).tolist() == [0, 0, 0, 1, 1]


def test_controls_are_kept_however_few():
    cells = read(["A", "A", "A", "B", "non-targeting"], "AB")
    rows, keep = np.arange(5), np.ones(5, bool)
    assert selection.of_large(cells, rows, keep, 2).tolist() == [1, 1, 1, 0, 1]
    keep[0] = False
    assert selection.of_large(cells, rows, keep, 2).tolist() == [0, 0, 0, 0, 1]


def test_without_measured_targets_nothing_is_filtered():
    cells = read(["Z", "non-targeting"], "AB")
    counts = np.ones((2, 2), np.uint8)
    assert selection.with_low_target(cells, np.arange(2), counts, ["A", "B"], 10.0).all()
