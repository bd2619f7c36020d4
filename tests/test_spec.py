"""The static argument of compiled programs: what it carries, and which runs share it."""

import dataclasses

import pytest

from gpo_vae_jax.config import Config, TrainConfig
from gpo_vae_jax.spec import Spec
from tests.builders import SIZES


def with_train(**settings):
    return Config(train=TrainConfig(**settings))


@pytest.mark.parametrize(
    "config",
    [
        with_train(seed=7, patience=2, max_epochs=3),
        with_train(checkpoint_every_steps=1, save_every_seconds=0.5),
        Config(name="another", model=dataclasses.replace(Config().model, mask_init=2.0)),
        Config(model=dataclasses.replace(Config().model, knowledge_path="known.npy")),
    ],
)
def test_settings_that_no_program_sees_share_a_spec(config):
    assert Spec.of(config, SIZES) == Spec.of(Config(), SIZES)
    assert hash(Spec.of(config, SIZES)) == hash(Spec.of(Config(), SIZES))


@pytest.mark.parametrize(
    "config",
    [
        with_train(n_particles=2),
        with_train(learning_rate=1.0),
        with_train(precision="tf32"),
        Config(model=dataclasses.replace(Config().model, n_latent=3)),
        Config(objective=dataclasses.replace(Config().objective, beta=1.0)),
    ],
)
def test_settings_that_a_program_depends_on_change_the_spec(config):
    assert Spec.of(config, SIZES) != Spec.of(Config(), SIZES)


def test_the_spec_of_the_model_leaves_out_how_it_was_trained():
    trained = Spec.of(with_train(learning_rate=1.0), SIZES)
    assert trained.of_model == Spec.of(Config(), SIZES).of_model
    assert trained.of_model.of_model == trained.of_model
