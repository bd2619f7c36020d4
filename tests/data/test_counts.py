"""Count matrices: narrow types, checks, log-normalisation."""

import numpy as np
import pytest
from scipy import sparse

from gpo_vae_jax.data import counts
from gpo_vae_jax.errors import DataError

FORMS = {
    "dense": np.asarray,
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "float": lambda x: x.astype(np.float32),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("largest", "dtype"),
    [(255, np.uint8), (256, np.uint16), (65535, np.uint16), (65536, np.uint32)],
)
def test_the_narrowest_type_that_holds_the_counts(form, largest, dtype):
    matrix = np.arange(30).reshape(6, 5)
    matrix[4, 2] = largest
    result = counts.narrow(FORMS[form](matrix))
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, matrix)


@pytest.mark.parametrize("form", FORMS)
def test_a_narrow_copy_of_rows(form):
    matrix = np.random.default_rng(0).poisson(200, (7, 4))
    rows = np.array([5, 0, 3])
    result = counts.narrow_copy(FORMS[form](matrix), rows)
    assert sparse.issparse(result) == (form in ("csr", "csc"))
    assert result.dtype == (np.uint8 if matrix[rows].max() < 256 else np.uint16)
    np.testing.assert_array_equal(counts.dense_rows(result, slice(None)), matrix[rows])


def test_chunks_widen_the_type_only_when_needed(monkeypatch):
    monkeypatch.setattr(counts, "_CHUNK_VALUES", 5)
    matrix = np.vstack([np.ones((3, 5)), np.full((2, 5), 700), np.full((1, 5), 3)])
    result = counts.narrow(sparse.csr_matrix(matrix))
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, matrix)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.nan, "NaN"),
        (np.inf, "NaN or infinite"),
        (-1.0, "negative"),
        (0.5, "not whole numbers"),
        (2.0**33, "above"),
    ],
)
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_values_that_are_no_counts(bad, message, form):
    matrix = np.ones((4, 3))
    matrix[2, 1] = bad
    with pytest.raises(DataError, match=message):
        counts.check_counts(form(matrix))
    with pytest.raises(DataError, match=message):
        counts.narrow(form(matrix))


def test_half_precision_holds_counts_without_a_warning():
    matrix = np.array([[0, 3], [2000, 1]])
    half = matrix.astype(np.float16)
    counts.check_counts(half)
    np.testing.assert_array_equal(counts.narrow(half), matrix)
    np.testing.assert_array_equal(counts.narrow_copy(half, np.array([1, 0])), matrix[::-1])
    np.testing.assert_array_equal(counts.library_size(np.full((1, 90), half[1, 0])), [180000])


def test_an_array_that_is_narrow_already_is_not_copied():
    matrix = np.array([[0, 3], [2000, 1]], np.uint16)
    assert counts.narrow(matrix) is matrix
    assert counts.narrow(matrix[:1]).dtype == np.uint8
    with pytest.raises(DataError, match="above"):
        counts.narrow(np.array([[2**40]], np.uint64))


def test_text_is_no_count():
    with pytest.raises(DataError, match="not numbers"):
        counts.check_counts(np.array([["1", "2"]]))


def test_log_normalisation_brings_cells_to_the_median_library():
    matrix = np.array([[1, 3], [2, 6], [0, 0], [10, 10]])
    library = counts.library_size(matrix)
    np.testing.assert_array_equal(library, [4, 8, 0, 20])
    factor = counts.normalisation(library)  # the median of 4, 8, 20 is 8
    expected = np.log1p([[2, 6], [2, 6], [0, 0], [4, 4]])
    np.testing.assert_allclose(counts.log_normalised(matrix, factor), expected)


def test_cells_without_any_count_are_refused():
    with pytest.raises(DataError, match="every count is 0"):
        counts.normalisation(np.zeros(3))


def test_library_sizes_do_not_overflow_a_narrow_type():
    matrix = np.full((2, 300), 255, np.uint8)
    for form in (np.asarray, sparse.csr_matrix):
        np.testing.assert_array_equal(counts.library_size(form(matrix)), [76500, 76500])
