"""A data set and settings small enough that an epoch takes milliseconds."""

import dataclasses

import pytest

from gpo_vae_jax.config import Config, ModelConfig, TrainConfig
from tests.tiny import tiny_dataset

TINY = Config(
    model=ModelConfig(
        n_latent=4,
        basal_encoder_n_hidden=8,
        embedding_encoder_n_layers=2,
        embedding_encoder_n_hidden=8,
        decoder_n_hidden=8,
    ),
    train=TrainConfig(batch_size=32, n_particles=2, max_epochs=4, learning_rate=1e-2),
)


@pytest.fixture(scope="session")
def dataset():
    """Return 150 cells of 12 genes."""
    return tiny_dataset()


@pytest.fixture(scope="session")
def config():
    """Return a function that changes the tiny training settings."""

    def make(**train):
        return dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, **train))

    return make
