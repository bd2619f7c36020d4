"""Sparse matrices: their parts, and one assembled from rows in any order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gpo_vae_jax.data.sparse_rows import SparseRows, check_parts
from gpo_vae_jax.errors import DataError


@given(st.integers(0, 2**32 - 1), st.integers(0, 20), st.integers(1, 300), st.integers(1, 5))
def test_rows_come_to_their_places(seed, n, n_columns, n_blocks):
    rng = np.random.default_rng(seed)
    dense = rng.poisson(rng.choice([0.1, 200, 70000]), (n, n_columns)) * (rng.random((n, 1)) < 0.7)
    rows = SparseRows(dense.shape)
    for block in np.array_split(rng.permutation(n), n_blocks):
        if len(block) and dense[block].any():
            rows.add(block, sparse.csr_matrix(dense[block]))
    result = rows.matrix()
    assert result.dtype == np.min_scalar_type(int(dense.max(initial=0)))
    assert result.has_canonical_format
    np.testing.assert_array_equal(result.toarray(), dense)


@pytest.mark.parametrize(
    ("part", "values", "says"),
    [
        ("indices", [0, 2, 3], "indices has 3; expected 0 to 2"),
        ("indices", [0, -1, 2], "indices has -1; expected 0 to 2"),
        ("indices", [0.0, 2.0, 1.0], "float64 values in indices, not whole numbers"),
        ("indices", [[0, 2, 1]], "indices is no list; copy or write the file again"),
        ("indptr", [0, 1, 1, 2, 3], "indptr has 5 values; expected 4"),
        ("indptr", [1, 1, 1, 3], "does not rise from 0"),
        ("indptr", [0, 2, 1, 3], "does not rise from 0"),
        ("indptr", [0, 1, 1, 2], "to the number of stored values, 3"),
        ("data", [1.0, 2.0], "data has 2 values, and indices has 3"),
        ("data", [1j, 2, 3], "complex128 values in data, not numbers"),
        ("data", np.ones(3, np.float16), "float16 values, which scipy lacks; use float32"),
    ],
)
@pytest.mark.parametrize("form", ["csr", "csc"])
def test_parts_that_do_not_fit_together(form, part, values, says):
    matrix = sparse.coo_array(([1.0, 2.0, 3.0], ([0, 2, 2], [0, 1, 2])), (3, 3)).asformat(form)
    check_parts(matrix, "X")
    setattr(matrix, part, np.asarray(values))
    with pytest.raises(DataError, match=f"^X .*{says}"):
        check_parts(matrix, "X")


def test_other_matrices_have_no_parts_to_check():
    check_parts(np.eye(2), "X")
    check_parts(sparse.coo_array(np.eye(2)), "X")
    check_parts(sparse.csr_array((0, 3)), "X")
