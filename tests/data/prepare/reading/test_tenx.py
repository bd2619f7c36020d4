"""Where Cell Ranger puts its matrices, and how archives name them."""

import gzip

import numpy as np
import pytest

from gpo_vae_jax.data.prepare.reading.raw_files import open_raw
from gpo_vae_jax.errors import DataError
from tests.data.prepare.reading import written


@pytest.fixture(scope="module")
def multiome():
    return written.multiome()


def counts_of(path):
    with open_raw([path]) as found:
        return found.adata.X.toarray()


PLACES = (
    "run/count/sample_filtered_feature_bc_matrix",
    "run/outs/filtered_gene_bc_matrices/GRCh38",
    "run/sample_filtered_feature_bc_matrix",
)


@pytest.mark.parametrize("place", PLACES)
def test_the_folder_around_a_matrix(place, multiome, tmp_path):
    raw, guides, _ = multiome
    written.tenx_folder(tmp_path / place, raw, guides)
    want = np.hstack([raw.X.toarray(), guides])
    np.testing.assert_array_equal(counts_of(tmp_path / "run"), want)


@pytest.mark.parametrize("place", ["", "outs", "count", "outs/count"])
def test_the_folder_around_an_hdf5_file(place, multiome, tmp_path):
    raw, guides, _ = multiome
    (tmp_path / "run" / place).mkdir(parents=True)
    written.tenx_h5(tmp_path / "run" / place / "filtered_feature_bc_matrix.h5", raw, guides)
    want = np.hstack([raw.X.toarray(), guides])
    np.testing.assert_array_equal(counts_of(tmp_path / "run"), want)


@pytest.mark.parametrize("packed", [True, False])
def test_one_of_several_matrices_is_named_by_its_file(packed, multiome, tmp_path):
    raw, guides, _ = multiome
    written.tenx_folder(tmp_path, raw, guides, prefix="a_", packed=packed)
    written.tenx_folder(tmp_path, raw[::-1].copy(), guides[::-1], prefix="b_", packed=packed)
    end = ".gz" if packed else ""
    one, two = (tmp_path / f"{name}_matrix.mtx{end}" for name in "ab")
    want = np.hstack([raw.X.toarray(), guides])
    np.testing.assert_array_equal(counts_of(one), want)
    np.testing.assert_array_equal(counts_of(two), want[::-1])
    with pytest.raises(DataError, match=r"a_matrix\.mtx.*name these files instead of the folder"):
        counts_of(tmp_path)


def test_a_packed_table_is_no_matrix(tmp_path):
    (tmp_path / "counts.tsv.gz").write_bytes(gzip.compress(b"a\tb\n1\t2\n"))
    with pytest.raises(DataError, match="is a text file; read it with pandas"):
        counts_of(tmp_path / "counts.tsv.gz")
