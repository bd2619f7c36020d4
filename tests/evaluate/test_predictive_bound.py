"""The predictive IWELBO of a split: padding and batches change nothing but the noise."""

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
from gpo_vae_jax.model import init_params, sample_shared_noise
from gpo_vae_jax.spec import Spec
from tests.tiny import tiny_dataset

CONFIG = ModelConfig(
    n_latent=3, basal_encoder_n_hidden=4, embedding_encoder_n_hidden=4, decoder_n_hidden=4
)


@pytest.mark.parametrize("memory_gib", [1e-9, 3e-5, 2e-4])
def test_every_cell_is_scored_once_whatever_the_chunks(memory_gib):
    dataset = tiny_dataset()
    spec, split = Spec(dataset.sizes, CONFIG), dataset.splits["test"]
    params = init_params(jax.random.key(0), spec)

    def score(memory_gib):
        return predictive_iwelbo_of_split(
            params, split, spec=spec, n_particles=20, memory_gib=memory_gib
        )

    n_cells = len(split.cells.weight)
    assert chunk_sizes(20, 2.0, spec=spec) == (20, 256)
    width, n_rows = chunk_sizes(20, memory_gib, spec=spec)
    assert width < 20 or n_rows < n_cells
    np.testing.assert_allclose(score(memory_gib), score(2.0), rtol=1e-5)


def test_cells_are_scored_independently_of_each_other():
    dataset = tiny_dataset()
    spec, split = Spec(dataset.sizes, CONFIG), dataset.splits["test"]
    params = init_params(jax.random.key(0), spec)
    shared = sample_shared_noise(jax.random.key(1), spec, np.arange(5))
    shared = sample_shared(params, shared, spec=spec)
    basal = np.random.default_rng(0).normal(size=(5, 10, 3)).astype(np.float32)
    batch = jax.tree.map(lambda a: a[:10], split.cells)
    order = np.array([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])

    def score(cells, noise):
        return predictive_iwelbo(params, split.context.statistics, cells, shared, noise, spec=spec)

    straight = score(batch, basal)
    permuted = score(jax.tree.map(lambda a: a[order], batch), basal[:, order])
    np.testing.assert_allclose(permuted, np.asarray(straight)[order], rtol=1e-5)
