"""Perturbed against control cells of a data set: whose cells, which genes, and by name."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, wasserstein_distance

from gpo_vae_jax import data
from gpo_vae_jax.config import DataConfig, EvaluateConfig
from gpo_vae_jax.evaluate.network.pair_tests import compare_cells

GENES = ("7", "c", "0", "b", "12", "a")  # unsorted, and names that look like rows
TREATMENTS = ("0", "7", "b", "12", "gone")
N_PERTURBED = 3  # "0", "7", "b"


def arrays(n=240, seed=3):
    rng = np.random.default_rng(seed)
    group = rng.integers(0, N_PERTURBED + 2, n)
    dosage = np.zeros((n, len(TREATMENTS)), np.float32)
    for column in range(N_PERTURBED):
        dosage[group == column, column] = 1
    dosage[::11, 1] = 1  # combinations such as "0+7"
    depth = rng.uniform(0.5, 2, (n, 1))
    counts = rng.poisson(rng.gamma(2.0, 1.0, len(GENES)) * depth)
    counts[dosage[:, 0] > 0, GENES.index("12")] *= 3
    counts[::50] = 0  # cells without any count
    return {
        "counts": counts,
        "dosage": dosage,
        "qc_fail": np.zeros(n),
        "counterfactual": counts,
        "delta": np.zeros(dosage.shape),
        "split": np.array(["train", "test", "test", "val"])[rng.integers(0, 4, n)],
        "treatments": TREATMENTS,
        "n_perturbed": N_PERTURBED,
        "genes": GENES,
        "cells": [f"cell{i}" for i in range(n)],
    }


def by_scipy(given, split="test"):
    library = given["counts"].sum(axis=1)
    median = np.median(library[library > 0])
    expression = np.log1p(given["counts"] * (median / np.maximum(library, 1))[:, None])
    expression = expression.astype(np.float32).astype(np.float64)
    here, dosage = given["split"] == split, given["dosage"] != 0
    control = here & ~dosage.any(axis=1)
    p, distance = np.full((2, given["n_perturbed"], len(given["treatments"])), np.nan)
    for r in range(given["n_perturbed"]):
        for t, name in enumerate(given["treatments"]):
            if name in given["genes"]:
                of_gene = expression[:, given["genes"].index(name)]
                pair = of_gene[here & dosage[:, r]], of_gene[control]
                p[r, t] = mannwhitneyu(*pair, method="asymptotic").pvalue
                distance[r, t] = wasserstein_distance(*pair)
    return p, distance


@pytest.mark.parametrize("split", ["test", "train"])
def test_tables_by_scipy(split):
    given = arrays()
    found = compare_cells(data.from_arrays(**given), split=split)
    p, distance = by_scipy(given, split)
    assert np.isnan(p[:, 4]).all() and np.isfinite(p[:, :4]).all()
    np.testing.assert_allclose(found.p, p, rtol=1e-6)
    np.testing.assert_allclose(found.wasserstein, distance, rtol=1e-6)


def test_distances_are_those_watched_in_training():
    dataset = data.from_arrays(**arrays())
    for split, table in dataset.tables.items():
        np.testing.assert_allclose(
            compare_cells(dataset, split=split).wasserstein, table, rtol=1e-6
        )


def test_the_order_of_cells_and_genes_does_not_matter():
    given = arrays()
    plain = compare_cells(data.from_arrays(**given))
    rng = np.random.default_rng(0)
    rows, genes = rng.permutation(len(given["split"])), rng.permutation(len(GENES))
    shuffled = given | {name: given[name][rows] for name in ("dosage", "qc_fail", "delta", "split")}
    for name in ("counts", "counterfactual"):
        shuffled[name] = given[name][rows][:, genes]
    shuffled |= {"cells": [f"cell{i}" for i in rows], "genes": tuple(GENES[i] for i in genes)}
    again = compare_cells(data.from_arrays(**shuffled))
    for have, want in zip(again, plain, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-12)


def test_the_order_of_treatments_moves_rows_and_columns_along():
    given = arrays()
    plain = compare_cells(data.from_arrays(**given))
    order = np.array([2, 0, 1, 4, 3])
    moved = given | {
        "treatments": tuple(TREATMENTS[i] for i in order),
        "dosage": given["dosage"][:, order],
        "delta": given["delta"][:, order],
    }
    again = compare_cells(data.from_arrays(**moved))
    for have, want in zip(again, plain, strict=True):
        np.testing.assert_array_equal(have, want[np.ix_(order[:N_PERTURBED], order)])


def test_hidden_dosages_do_not_hide_who_is_perturbed():
    plain = compare_cells(data.from_arrays(**arrays()))
    masked = data.from_arrays(**arrays(), config=DataConfig(mask_test=("7",)))
    assert not masked.splits["test"].cells.dosage[masked.labels["test"] == "7"].any()
    for have, want in zip(compare_cells(masked), plain, strict=True):
        np.testing.assert_array_equal(have, want)


def test_memory_changes_nothing_but_memory():
    dataset = data.from_arrays(**arrays())
    plain = compare_cells(dataset)
    tight = compare_cells(dataset, EvaluateConfig(memory_gib=1e-9))
    for have, want in zip(tight, plain, strict=True):
        np.testing.assert_array_equal(have, want)


def test_only_some_pairs_are_those_of_all():
    dataset = data.from_arrays(**arrays())
    pairs = np.random.default_rng(0).random((N_PERTURBED, len(TREATMENTS))) < 0.4
    pairs[:, 1] = False
    some = compare_cells(dataset, pairs=pairs)
    for have, want in zip(some, compare_cells(dataset), strict=True):
        np.testing.assert_array_equal(have, np.where(pairs, want, np.nan))


def test_perturbations_without_test_cells_are_nan():
    given = arrays()
    here = (given["split"] == "test") & (given["dosage"][:, 2] != 0)
    given["split"] = np.where(here, "train", given["split"])
    found = compare_cells(data.from_arrays(**given))
    assert np.isnan(found.p[2]).all() and np.isfinite(found.p[:2, :4]).all()


def test_equal_shares_of_a_gene_are_ties_whatever_the_library():
    """3 of 21 counts and 5 of 35 are the same expression, though not in the last bit."""
    given = arrays()
    size = np.random.default_rng(1).integers(1, 60, len(given["split"]))
    counts = np.zeros_like(given["counts"])
    counts[:, GENES.index("b")], counts[:, GENES.index("12")] = size, 6 * size
    found = compare_cells(data.from_arrays(**given | {"counts": counts}))
    np.testing.assert_array_equal(found.p[:, :4], 1.0)
    np.testing.assert_allclose(found.wasserstein[:, :4], 0.0, atol=1e-12)
