"""Input statistics: accurate, and 1 for a gene without variance."""

import numpy as np
import pytest

from gpo_vae_jax.data import input_statistics as statistics
from gpo_vae_jax.errors import DataError


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_statistics_equal_numpy_in_float64(dtype, monkeypatch):
    chunks = statistics.row_chunks
    monkeypatch.setattr(statistics, "row_chunks", lambda shape, _: chunks(shape, 7 * 13))
    counts = np.random.default_rng(0).poisson(20, (100, 13)).astype(dtype)
    result = statistics.input_statistics(counts)
    logged = np.log1p(counts.astype(np.float64))
    expected = (
        counts.mean(axis=0),
        counts.std(axis=0, ddof=1),
        logged.mean(axis=0),
        logged.std(axis=0, ddof=1),
    )
    for have, want in zip(result, expected, strict=True):
        assert have.dtype == np.float32
        np.testing.assert_allclose(have, want, rtol=1e-6)


def test_large_counts_with_a_small_spread_stay_accurate():
    counts = (4_000_000_000 + np.arange(6)[:, None] % 2).astype(np.uint32)
    result = statistics.input_statistics(counts)
    np.testing.assert_allclose(result.std, counts.astype(np.float64).std(axis=0, ddof=1))


@pytest.mark.parametrize("constant", [0, 7])
def test_a_gene_without_variance_has_scale_1(constant):
    counts = np.random.default_rng(0).poisson(3, (5000, 3)).astype(np.uint8)
    counts[:, 1] = constant
    result = statistics.input_statistics(counts)
    assert result.std[1] == 1 and result.log_std[1] == 1
    assert result.std[0] != 1 and result.log_std[0] != 1


def test_one_cell_is_too_few():
    with pytest.raises(DataError, match="at least 2"):
        statistics.input_statistics(np.ones((1, 3), np.uint8))
