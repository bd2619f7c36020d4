"""Observed changes of network genes, and the linear network that explains them."""

import dataclasses

import numpy as np

from gpo_vae_jax.statistics.pair_changes import pair_changes, ridge_deconvolution
from tests.tiny import tiny_dataset


def test_changes_and_errors_by_hand():
    dataset = tiny_dataset()
    change, error = pair_changes(dataset)
    split = dataset.splits["train"].cells
    values = np.log1p(split.counts * (1e4 / split.counts.sum(1))[:, None])
    labels = np.asarray(dataset.labels["train"])
    control = values[labels == dataset.conventions.control]
    for t in range(3):
        own = values[labels == f"T{t}"]
        np.testing.assert_allclose(change[t], (own.mean(0) - control.mean(0))[:5], rtol=1e-6)
        variance = own.var(0, ddof=1) / len(own) + control.var(0, ddof=1) / len(control)
        np.testing.assert_allclose(error[t], np.sqrt(variance)[:5], rtol=1e-6)
    assert np.isnan(change[3:]).all() and np.isnan(error[3:]).all()  # never perturbed


def test_hidden_treatments_have_no_change():
    plain = tiny_dataset()
    train = plain.splits["train"]
    hidden = train.cells._replace(
        dosage=np.where(train.cells.perturbation == 1, 0, train.cells.dosage)
    )
    splits = {**plain.splits, "train": train._replace(cells=hidden)}
    change, _ = pair_changes(dataclasses.replace(plain, splits=splits))
    assert np.isnan(change[1]).all()
    np.testing.assert_allclose(change[[0, 2]], pair_changes(plain)[0][[0, 2]])


def test_a_linear_network_is_recovered_from_its_total_effects():
    rng, n = np.random.default_rng(0), 12
    weights = np.triu(rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.3), 1)
    total = -np.linalg.inv(np.eye(n) - weights)  # each gene knocked down by 1, all perturbed
    found = ridge_deconvolution(total, penalty=1e-8)
    np.testing.assert_allclose(found, weights, atol=1e-4)


def test_both_forms_of_the_ridge_solution_are_one():
    rng = np.random.default_rng(1)
    total = rng.normal(size=(9, 9))
    total[5:] = np.nan  # fewer perturbations than genes
    found = ridge_deconvolution(total, penalty=0.3)
    used = [t for t in range(5) if t != 2]
    others = [g for g in range(9) if g != 2]
    x, y = total[np.ix_(used, others)], total[used, 2]
    expected = np.linalg.solve(x.T @ x + 0.3 * np.eye(8), x.T @ y)
    np.testing.assert_allclose(found[others, 2], expected, rtol=1e-6)


def test_nothing_known_is_nothing_found():
    assert (ridge_deconvolution(np.full((4, 4), np.nan)) == 0).all()
