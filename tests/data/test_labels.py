"""Labels of perturbations and their dosage columns."""

import numpy as np
import pytest

from gpo_vae_jax.data import labels
from gpo_vae_jax.errors import DataError


@pytest.mark.parametrize(
    ("label", "separator", "genes"),
    [
        ("ctrl", "+", ()),
        ("A", "+", ("A",)),
        ("B+A", "+", ("A", "B")),
        ("A+ctrl", "+", ("A",)),
        ("ctrl+ctrl", "+", ()),
        ("A+A", "+", ("A",)),
        ("B+A", "", ("B+A",)),
    ],
)
def test_genes_of_a_label(label, separator, genes):
    assert labels.perturbed_genes(label, "ctrl", separator) == genes


def test_dosage_indices_fill_rows_with_column_0_and_dosage_0():
    codes = np.array([0, 2, 1, 2])
    index, dosage = labels.dosage_indices(codes, [(), ("b",), ("c", "a")], ["a", "b", "c"])
    np.testing.assert_array_equal(index, [[0, 0], [2, 0], [1, 0], [2, 0]])
    np.testing.assert_array_equal(dosage, [[0, 0], [1, 1], [1, 0], [1, 1]])
    assert index.dtype == np.int32


def test_only_controls_still_have_one_column():
    index, dosage = labels.dosage_indices(np.zeros(3, int), [()], ["a"])
    assert index.shape == dosage.shape == (3, 1)


def test_dense_dosage_and_back():
    dense = (np.random.default_rng(0).random((40, 6)) < 0.3).astype(np.float32)
    index, dosage = labels.indices_of_dense(dense)
    assert index.shape[1] == dense.sum(axis=1).max()
    again = np.zeros_like(dense)
    np.add.at(again, (np.arange(40)[:, None], index), dosage)
    np.testing.assert_array_equal(again, dense)


def test_masked_treatments_lose_their_dosage():
    index, dosage = np.array([[1, 2], [2, 0], [0, 0]]), np.array([[1.0, 1], [1, 0], [1, 0]])
    new_index, new_dosage = labels.without_treatments(index, dosage, ["a", "b", "c"], ["c"])
    np.testing.assert_array_equal(new_index, [[1, 0], [0, 0], [0, 0]])
    np.testing.assert_array_equal(new_dosage, [[1, 0], [0, 0], [1, 0]])


def test_an_unknown_masked_treatment_is_named_with_a_suggestion():
    with pytest.raises(DataError, match="'gata1' is not a treatment; did you mean 'GATA1'"):
        labels.without_treatments(np.zeros((1, 1)), np.ones((1, 1)), ["GATA1", "MYC"], ["gata1"])


def test_a_perturbation_without_a_column_is_named():
    with pytest.raises(DataError, match="without a dosage column: z"):
        labels.dosage_indices(np.zeros(1, int), [("z",)], ["a"])
