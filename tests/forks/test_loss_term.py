"""The recipe for a term of the loss of one's own: a function, and a line in `TERMS`."""

import dataclasses

import jax
import numpy as np
import pytest

from gpo_vae_jax import objective
from gpo_vae_jax.train.training import train
from tests.tiny import tiny_dataset
from tests.train.conftest import TINY

# The function:


def edge_entropy(given: objective.Given) -> jax.Array:
    """Return the mean entropy of an edge: a network should be sure of itself."""
    logits = given.model.guide.mask_logits()
    probs = given.model.guide.mask_probs()
    return 0.5 * (jax.nn.softplus(logits) - probs * logits).mean()


@pytest.fixture(scope="module")
def history():
    objective.TERMS["edge_entropy"] = edge_entropy  # the line
    # Settings of its own: compiled programs do not know that the table has changed.
    settings = dataclasses.replace(TINY.train, max_epochs=2, learning_rate=0.0123)
    yield train(tiny_dataset(), dataclasses.replace(TINY, train=settings)).history
    del objective.TERMS["edge_entropy"]


def test_it_has_a_column_for_training_and_validation(history):
    for name in ("train_edge_entropy", "val_edge_entropy"):
        assert (history[name] > 0).all()
    assert history["val_edge_entropy"].iloc[1] < history["val_edge_entropy"].iloc[0]
    assert history["val_edge_entropy"].iloc[0] < 0.5 * np.log(2)


def test_it_is_part_of_the_loss(history):
    for split in ("train", "val"):
        parts = [c for c in history if c.startswith(f"{split}_") and c != f"{split}_loss"]
        assert f"{split}_edge_entropy" in parts and len(parts) == 9
        np.testing.assert_allclose(history[f"{split}_loss"], history[parts].sum(axis=1), rtol=1e-5)
