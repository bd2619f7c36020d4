"""Simulated data: deterministic, stable, and with a network that is visible in the counts."""

import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpo_vae_jax.config import PrepareConfig, SimulateConfig
from gpo_vae_jax.data import from_anndata, prepare, simulate
from gpo_vae_jax.data.prepared.simulated_truth import TRUTH
from gpo_vae_jax.data.simulation import propagate, random_network

SMALL = SimulateConfig(n_cells=400, n_genes=60, n_perturbed=6, n_extended=4)
PAIRS = dataclasses.replace(SMALL, double_fraction=0.5, seed=3)
LARGE_EFFECTS = SimulateConfig(
    n_cells=500, n_genes=100, n_perturbed=30, n_extended=20, effect=2.0, seed=7
)
RECORDED = (
    (SMALL, "be5774bea70ee8c8"),
    (PAIRS, "822e90602895244f"),
    (LARGE_EFFECTS, "ae20734562f0da39"),
)


@pytest.mark.parametrize(("config", "recorded"), RECORDED)
def test_counts_are_those_of_the_first_version(config, recorded):
    counts = simulate(config).X.toarray().astype("<i8")
    assert hashlib.sha256(counts.tobytes()).hexdigest()[:16] == recorded


def test_the_seed_decides_everything():
    first, again = simulate(SMALL), simulate(SMALL)
    assert (first.X != again.X).nnz == 0
    assert first.obs.equals(again.obs) and first.var.equals(again.var)
    other = simulate(dataclasses.replace(SMALL, seed=1))
    assert (first.X != other.X).nnz > 1000


def test_names_are_in_no_sorted_order():
    adata = simulate(SMALL)
    assert not adata.var_names.is_monotonic_increasing
    assert not adata.obs_names.is_monotonic_increasing
    assert adata.obs_names.is_unique and adata.var_names.is_unique
    truth = adata.uns[TRUTH]["names"]
    assert list(truth) != sorted(truth)
    assert set(truth) == set(adata.var_names[adata.var["in_network"]])
    assert set(truth[:6]) == set(adata.var_names[adata.var["perturbed"]])


def test_counts_labels_and_truth():
    adata = simulate(dataclasses.replace(SMALL, double_fraction=0.5, n_cells=2000))
    values = adata.X.data
    assert (values >= 0).all() and (values == np.floor(values)).all()
    labels = adata.obs["perturbation"].astype(str)
    pairs = labels.str.contains("+", regex=False)
    assert 0.3 < pairs.mean() < 0.45 and 0.2 < (labels == "non-targeting").mean() < 0.3
    assert labels[pairs].map(lambda name: name.split("+") == sorted(name.split("+"))).all()
    library = np.asarray(adata.X.sum(axis=1)).ravel()
    failed, doublet = adata.obs["qc_fail_true"], adata.obs["doublet_true"]
    assert np.median(library[failed]) < 0.5 * np.median(library[~failed])
    assert np.median(library[doublet]) > 1.5 * np.median(library[~failed & ~doublet])


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.floats(0, 12), st.floats(0, 50))
def test_the_network_is_acyclic_and_changes_stay_finite(seed, n, edges, effect):
    weights = random_network(np.random.default_rng(seed), n, edges, effect)
    assert not np.linalg.matrix_power((weights != 0).astype(float), n).any()
    change = propagate(weights, (0,), -2.0)
    assert change[0] == -2 and np.abs(change).max() <= 2.5


def test_a_knock_down_travels_along_paths_and_held_genes_stay():
    weights = np.zeros((4, 4))
    weights[0, 1], weights[1, 2], weights[0, 3] = 0.5, -0.5, 0.25
    np.testing.assert_allclose(propagate(weights, (0,), -2.0), [-2, -1, 0.5, -0.5])
    np.testing.assert_allclose(propagate(weights, (0, 1), -2.0), [-2, -2, 1, -0.5])
    np.testing.assert_allclose(propagate(weights, (), -2.0), 0)


@pytest.mark.parametrize("seed", [0, 1])
def test_true_edges_stand_out_of_delta(seed):
    """The mean of delta over a perturbation's cells ranks true edges far above chance."""
    adata = simulate(SimulateConfig(n_cells=2500, n_genes=80, n_perturbed=12, seed=seed))
    dataset = from_anndata(prepare(adata, PrepareConfig(extended_genes="none")))
    cells = dataset.splits["train"].cells
    carries = [(cells.perturbation[:, 0] == r) & (cells.dosage[:, 0] > 0) for r in range(12)]
    score = np.stack([cells.delta[here].mean(axis=0) for here in carries])
    off = ~np.eye(12, dtype=bool)
    edge = dataset.true_network != 0
    assert not edge[np.eye(12, dtype=bool)].any() and edge.sum() > 5
    ranked = np.argsort(-score[off])
    top = edge[off][ranked[: edge.sum()]].mean()
    assert top > 4 * edge[off].mean()


def test_doublets_and_knock_downs_in_the_counts():
    adata = simulate(SMALL)
    counts = adata.to_df()
    labels = adata.obs["perturbation"].astype(str)
    good = ~(adata.obs["qc_fail_true"] | adata.obs["doublet_true"])
    control = counts[good & (labels == "non-targeting")].mean()
    for gene in adata.var_names[adata.var["perturbed"]]:
        assert counts.loc[good & (labels == gene), gene].mean() < 0.5 * control[gene]


def test_followers_of_network_genes_are_told():
    """What a follower's weight says is what knocking its network gene down does to its counts."""
    config = SimulateConfig(**{**vars(SMALL), "n_cells": 4000, "effect": 1.6})
    adata = simulate(config)
    truth, counts = adata.uns[TRUTH], adata.to_df()
    follows = truth["follows"]
    assert follows.shape == (len(truth["names"]), len(truth["followers"]))
    np.testing.assert_array_equal((follows != 0).sum(axis=0), 1)
    np.testing.assert_allclose(np.abs(follows[follows != 0]), 0.8)
    labels = adata.obs["perturbation"].astype(str)
    good = ~(adata.obs["qc_fail_true"] | adata.obs["doublet_true"])
    control = counts[good & (labels == "non-targeting")].mean()
    n = config.n_perturbed
    pairs = [(truth["names"][a], truth["followers"][b], follows[a, b]) for a, b in
             np.argwhere(follows[:n])]  # fmt: skip
    assert pairs
    for source, target, weight in pairs:
        change = counts.loc[good & (labels == source), target].mean() - control[target]
        assert np.sign(change) == -np.sign(weight)
