"""A sparse matrix assembled from rows in any order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gpo_vae_jax.data.sparse_rows import SparseRows


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
