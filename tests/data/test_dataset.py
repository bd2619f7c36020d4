"""Arrays in, Dataset out."""

import jax
import numpy as np
import pytest
from scipy import sparse
from scipy.stats import wasserstein_distance

from gpo_vae_jax.config import DataConfig
from gpo_vae_jax.data import from_arrays
from gpo_vae_jax.data.dataset import truth_among
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.types import Conventions

GENES = ("g3", "g1", "g0", "g2", "g4")
TREATMENTS = ("g0", "g1", "unmeasured", "g3")


def arrays(n=60, seed=0):
    rng = np.random.default_rng(seed)
    dosage = np.zeros((n, 4), np.float32)
    perturbed = rng.integers(-1, 3, n)
    dosage[np.arange(n)[perturbed >= 0], perturbed[perturbed >= 0]] = 1
    dosage[::9, 1] = 1
    delta = rng.random((n, 4))
    delta[0, 0] = np.nan
    return {
        "counts": rng.poisson(30, (n, 5)).astype(np.float32),
        "dosage": dosage,
        "qc_fail": (rng.random(n) < 0.2).astype(int),
        "counterfactual": rng.poisson(300, (n, 5)),
        "delta": delta,
        "split": np.array(["train", "train", "val", "test"])[np.arange(n) % 4],
        "treatments": TREATMENTS,
        "n_perturbed": 3,
        "genes": GENES,
        "cells": [f"cell{i}" for i in range(n)],
    }


def test_every_cell_keeps_its_own_values():
    given = arrays()
    dataset = from_arrays(**given)
    for name in ("train", "val", "test"):
        cells = dataset.splits[name].cells
        rows = np.flatnonzero(given["split"] == name)
        assert dataset.cells[name].tolist() == [f"cell{i}" for i in rows]
        np.testing.assert_array_equal(cells.counts, given["counts"][rows])
        np.testing.assert_array_equal(cells.library_size, given["counts"][rows].sum(axis=1))
        np.testing.assert_array_equal(cells.counterfactual, given["counterfactual"][rows])
        np.testing.assert_array_equal(cells.qc_fail[:, 0], given["qc_fail"][rows])
        np.testing.assert_array_equal(
            cells.delta, np.nan_to_num(given["delta"][rows]).astype(np.float32)
        )
        dense = np.zeros((len(rows), 4))
        np.add.at(dense, (np.arange(len(rows))[:, None], cells.perturbation), cells.dosage)
        np.testing.assert_array_equal(dense, given["dosage"][rows])
        assert (cells.weight == 1).all()


def test_types_shapes_and_sizes():
    dataset = from_arrays(**arrays())
    cells = dataset.splits["train"].cells
    assert cells.counts.dtype == np.uint8 and cells.counterfactual.dtype == np.uint16
    assert cells.perturbation.dtype == np.int32 and cells.perturbation.shape == (30, 2)
    for name in ("library_size", "dosage", "qc_fail", "delta", "weight"):
        assert getattr(cells, name).dtype == np.float32, name
    sizes = dataset.sizes
    assert (sizes.n_genes, sizes.n_treatments, sizes.n_perturbed, sizes.n_quality) == (5, 4, 3, 1)


def test_context_of_a_split():
    given = arrays()
    dataset = from_arrays(**given)
    train = given["counts"][given["split"] == "train"].astype(float)
    for name in ("train", "val", "test"):
        here = given["split"] == name
        context = dataset.splits[name].context
        np.testing.assert_array_equal(
            context.treatment_cells, (given["dosage"][here] != 0).sum(axis=0)
        )
        np.testing.assert_array_equal(context.quality_cells, [given["qc_fail"][here].sum()])
        np.testing.assert_allclose(context.statistics.mean, train.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(context.statistics.std, train.std(axis=0, ddof=1), rtol=1e-6)
        assert context.treatment_cells.dtype == context.quality_cells.dtype == np.float32


def test_tables_by_scipy():
    given = arrays()
    dataset = from_arrays(**given)
    library = given["counts"].sum(axis=1, dtype=float)
    expression = np.log1p(given["counts"] / library[:, None] * np.median(library))
    for name in ("train", "test"):
        table = dataset.tables[name]
        assert table.shape == (3, 4)
        assert np.isnan(table[:, 2]).all() and not np.isnan(table[:, [0, 1, 3]]).any()
        here = given["split"] == name
        control = here & ~given["dosage"].any(axis=1)
        for r in range(3):
            for t, gene in ((0, 2), (1, 1), (3, 0)):
                values = expression[here & (given["dosage"][:, r] != 0), gene]
                expected = wasserstein_distance(values, expression[control, gene])
                np.testing.assert_allclose(table[r, t], expected, rtol=1e-5)


def test_sparse_counts_and_dosage_as_indices_give_the_same():
    given = arrays()
    dataset = from_arrays(**given)
    order = np.argsort(given["dosage"] == 0, axis=1, kind="stable")[:, :2]
    amount = np.take_along_axis(given["dosage"], order, axis=1)
    again = from_arrays(
        **given
        | {
            "counts": sparse.csr_matrix(given["counts"]),
            "counterfactual": sparse.csc_matrix(given["counterfactual"]),
            "dosage": (np.where(amount > 0, order, 0), amount),
        }
    )
    for name in dataset.splits:
        both = (jax.tree.leaves(d.splits[name].cells) for d in (again, dataset))
        for have, want in zip(*both, strict=True):
            np.testing.assert_array_equal(have, want)
            assert have.dtype == want.dtype


def test_masked_treatments_have_no_dosage_but_keep_their_table():
    given = arrays()
    plain = from_arrays(**given)
    masked = from_arrays(**given, config=DataConfig(mask_test=("g1",)))
    for split in masked.splits.values():
        assert not (split.cells.dosage[split.cells.perturbation == 1] != 0).any()
        assert split.context.treatment_cells[1] == 0 and split.context.treatment_cells[0] > 0
    np.testing.assert_array_equal(masked.tables["train"], plain.tables["train"])


def test_genes_of_labels_are_those_of_their_cells_dosage():
    given = arrays()
    names = {"": "ctrl", "g0": "first", "g1": "second", "g1+unmeasured": "both", "g0+g1": "0 and 1"}
    names |= {"unmeasured": "third"}
    dosage = given["dosage"] != 0
    plain = ["+".join(np.array(TREATMENTS)[row]) for row in dosage]
    labels = np.array([names[text] for text in plain])
    conventions = Conventions(control="ctrl")
    truth = {"third+first": np.zeros(4), "g3": np.zeros(4), "g0+unknown": np.zeros(4)}
    dataset = from_arrays(
        **given,
        cell_labels=labels,
        conventions=conventions,
        true_effects=truth,
        config=DataConfig(mask_test=("g1",)),
    )
    expected = {names[text]: tuple(text.split("+")) if text else () for text in set(plain)}
    assert dataset.label_genes == expected | {"g3": ("g3",)}
    made = from_arrays(**given)
    assert made.label_genes == {
        text or "non-targeting": tuple(text.split("+")) if text else () for text in set(plain)
    }
    for change, message in (
        ({"first": "second"}, "'second' have different dosages: g0 and g1"),
        ({"ctrl": "none"}, "'none' have no dosage, but the control is 'ctrl'"),
        ({"first": "ctrl"}, "'ctrl' have"),
    ):
        wrong = np.array([change.get(label, label) for label in labels])
        with pytest.raises(DataError, match=message):
            from_arrays(**given, cell_labels=wrong, conventions=conventions)


def test_several_quality_columns():
    given = arrays()
    quality = (np.random.default_rng(1).random((60, 3)) < 0.3).astype(int)
    dataset = from_arrays(**given | {"qc_fail": quality})
    assert dataset.sizes.n_quality == 3
    here = given["split"] == "val"
    np.testing.assert_array_equal(
        dataset.splits["val"].context.quality_cells, quality[here].sum(axis=0)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"delta": np.zeros((60, 3))}, r"delta has shape \(60, 3\); expected \(60, 4\)"),
        ({"dosage": np.zeros((60, 3))}, r"dosage has shape"),
        ({"counterfactual": np.zeros((59, 5))}, r"counterfactual has shape"),
        ({"qc_fail": np.full(60, 2)}, "qc_fail must hold 0"),
        ({"qc_fail": np.full(60, np.nan)}, "qc_fail must hold 0"),
        ({"split": np.array(["train", "val", "holdout"] * 20)}, "split has the values holdout"),
        ({"split": np.array(["train", "val"] * 30)}, "'test' has no cells"),
        ({"n_perturbed": 5}, "n_perturbed is 5"),
        ({"treatments": ("a", "a", "b", "c")}, "not unique"),
        ({"counts": np.full((60, 5), 0.5)}, "counts has values that are not whole"),
        ({"counterfactual": np.full((60, 5), -1)}, "counterfactual has negative"),
        ({"config": DataConfig(mask_test=("g9",))}, "'g9' is not a treatment; known names: g0"),
    ],
)
def test_arrays_that_do_not_fit(change, message):
    with pytest.raises(DataError, match=message):
        from_arrays(**arrays() | change)


def test_a_dosage_beyond_the_perturbed_treatments_is_refused():
    with pytest.raises(
        DataError, match=r"treatment 'unmeasured' \(column 2\), but n_perturbed is 2"
    ):
        from_arrays(**(arrays() | {"n_perturbed": 2}))


def test_a_cell_that_names_a_treatment_twice_is_refused():
    given = arrays()
    index, amount = np.zeros((60, 2), np.int32), np.zeros((60, 2), np.float32)
    index[7], amount[7] = (1, 1), 1
    with pytest.raises(DataError, match="cell 7 has one treatment twice"):
        from_arrays(**(given | {"dosage": (index, amount)}))


def test_the_truth_in_the_order_of_the_treatments():
    truth = {"names": np.array(["c", "a", "b"]), "weights": np.arange(9.0).reshape(3, 3)}
    network = truth_among(("a", "unknown", "c"), truth)
    np.testing.assert_array_equal(network, [[4, 0, 3], [0, 0, 0], [1, 0, 0]])


def test_the_truth_among_treatments_skips_genes_that_are_none():
    """A chain a -> h -> k -> b with h, k no treatments is an edge; one through c is not."""
    names = ("a", "b", "c", "h", "k")
    weights = np.zeros((5, 5))
    weights[0, 3], weights[3, 4], weights[4, 1] = 0.5, -1.0, 2.0
    weights[0, 2], weights[2, 1], weights[3, 0] = 1.0, 1.0, 1.0
    truth = {"names": np.array(names), "weights": weights}
    network = truth_among(("a", "b", "c"), truth)
    np.testing.assert_array_equal(network, [[0, -1, 1], [0, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(truth_among(names, truth), weights)


def test_the_truth_among_treatments_counts_followers():
    truth = {
        "names": np.array(["a", "h"]),
        "weights": np.array([[0.0, 2.0], [0.0, 0.0]]),
        "followers": np.array(["f", "g", "other"]),
        "follows": np.array([[-0.5, 0.0, 0.0], [0.0, 0.5, 1.0]]),
    }
    network = truth_among(("f", "a", "g"), truth)
    np.testing.assert_array_equal(network, [[0, 0, 0], [-0.5, 0, 1], [0, 0, 0]])
