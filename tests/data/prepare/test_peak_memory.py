"""The memory that a preparation says it takes."""

import numpy as np
from scipy import sparse

from gpo_vae_jax.data import prepare
from gpo_vae_jax.data.prepare import peak_memory
from gpo_vae_jax.data.prepare.peak_memory import memory_in_words, nonzero
from tests.data.prepare.raw.screens import screen


def test_nonzero_counts_are_counted_or_estimated():
    dense = np.random.default_rng(0).poisson(0.5, (4000, 30)).astype(np.float32)
    exact = int((dense != 0).sum())
    assert nonzero(sparse.csr_matrix(dense)) == exact
    assert abs(nonzero(dense) / exact - 1) < 0.05
    assert nonzero(np.zeros((0, 5))) == 0


def test_the_peak_is_said_beside_what_is_there(monkeypatch):
    matrix = sparse.csr_matrix(np.ones((1000, 1000), np.float32))
    monkeypatch.setattr(peak_memory, "available_bytes", lambda: 2**30)
    assert memory_in_words(matrix) == (
        "about 0.022 GiB of memory at the peak (1 million nonzero counts); 1.0 GiB are available"
    )
    monkeypatch.setattr(peak_memory, "available_bytes", lambda: 2**20)
    assert "prepare fewer cells at a time" in memory_in_words(matrix)


def test_a_preparation_says_it_and_does_not_record_it():
    said = []
    result = prepare(screen(), progress=said.append, guess=True)
    assert any("of memory at the peak" in line for line in said)
    assert "GiB" not in result.uns["gpo_vae"]["notes"]
