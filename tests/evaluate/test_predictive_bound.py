"""The predictive IWELBO of a split: padding and batches change nothing but the noise."""

import functools

import jax
import numpy as np
import pytest

from gpo_vae_jax.config import ModelConfig
from gpo_vae_jax.evaluate.predictive_bound import (
    chunk_sizes,
    predictive_iwelbo,
    predictive_iwelbo_of_split,
    sample_shared,
)
from gpo_vae_jax.model import sample_shared_noise
from gpo_vae_jax.spec import Spec
from tests import builders
from tests.tiny import tiny_dataset

CONFIG = ModelConfig(
    n_latent=3,
    basal_encoder_n_hidden=4,
    embedding_encoder_n_layers=1,
    embedding_encoder_n_hidden=4,
    decoder_n_hidden=4,
)
DATASET = tiny_dataset()
SPEC, SPLIT = Spec(DATASET.sizes, CONFIG), DATASET.splits["test"]
PARAMS = builders.make_params(np.random.default_rng(0), SPEC)
N = 6  # particles


@functools.cache
def score_of_split(memory_gib):
    return predictive_iwelbo_of_split(
        PARAMS, SPLIT, spec=SPEC, n_particles=N, memory_gib=memory_gib
    )


@pytest.mark.parametrize("memory_gib", [1e-9, 1e-4])
def test_every_cell_is_scored_once_whatever_the_chunks(memory_gib):
    assert chunk_sizes(N, 2.0, spec=SPEC) == (N, 256)
    width, n_rows = chunk_sizes(N, memory_gib, spec=SPEC)
    assert width < N or n_rows < len(SPLIT.cells.weight)
    np.testing.assert_allclose(score_of_split(memory_gib), score_of_split(2.0), rtol=1e-5)


def test_cells_are_scored_independently_of_each_other():
    noise = sample_shared_noise(jax.random.key(1), SPEC, np.arange(5))
    shared = sample_shared(PARAMS, noise, spec=SPEC)
    basal = np.random.default_rng(0).normal(size=(5, 10, 3)).astype(np.float32)
    batch = jax.tree.map(lambda a: a[:10], SPLIT.cells)
    order = np.array([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])

    def score(cells, noise):
        return predictive_iwelbo(PARAMS, SPLIT.context.statistics, cells, shared, noise, spec=SPEC)

    straight = score(batch, basal)
    permuted = score(jax.tree.map(lambda a: a[order], batch), basal[:, order])
    np.testing.assert_allclose(permuted, np.asarray(straight)[order], rtol=1e-5)
