"""Counts as a dask array: the prepared data is that of the same counts in memory."""

import numpy as np
import pytest
from scipy import sparse

from gpo_vae_jax.errors import DataError
from tests.data.prepare.raw.screens import prepared, screen

dask_array = pytest.importorskip("dask.array")


def lazily(matrix, rows=70):
    """Return a dask array whose blocks are some rows of a CSR matrix."""
    return dask_array.from_array(matrix.toarray(), chunks=(rows, -1)).map_blocks(sparse.csr_matrix)


@pytest.mark.parametrize("blocks", ["sparse", "dense"])
def test_the_result_is_that_of_counts_in_memory(blocks):
    adata = screen()
    expected = prepared(adata)
    lazy = adata.copy()
    lazy.X = lazily(adata.X) if blocks == "sparse" else dask_array.from_array(
        adata.X.toarray(), chunks=(70, 10)
    )  # fmt: skip
    found = prepared(lazy)
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    ours, theirs = (one.layers["counterfactual"].toarray() for one in (found, expected))
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.obsm["delta_x"], expected.obsm["delta_x"])
    assert found.obs["split"].tolist() == expected.obs["split"].tolist()


def test_values_that_are_no_counts_are_refused():
    lazy = screen()
    lazy.X = lazily(lazy.X * 0.37)
    with pytest.raises(DataError, match="X has values"):
        prepared(lazy)
