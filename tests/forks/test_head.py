"""The recipe for a likelihood head of one's own: a module, and a line in `HEADS`."""

import dataclasses

import jax
import numpy as np
import pytest

from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.effects.model_effects import average_effects
from gpo_vae_jax.model.heads import HEADS
from gpo_vae_jax.predict import sampling
from gpo_vae_jax.predict.conditions import conditions_of
from gpo_vae_jax.predict.sampling import Draw
from gpo_vae_jax.train.training import train
from tests.forks.scaled_poisson import ScaledPoisson
from tests.tiny import tiny_dataset
from tests.train.conftest import TINY

NAME = "scaled_poisson"
SETTINGS = EvaluateConfig(effect_particles=8, top=3, top_sets=(2, 4), library_size=200.0)


@pytest.fixture(scope="module")
def trained():
    """Return a model with the new head, trained for two epochs."""
    HEADS[NAME] = ScaledPoisson()
    model = dataclasses.replace(TINY.model, likelihood_key=NAME)
    settings = dataclasses.replace(TINY.train, max_epochs=2)
    yield train(tiny_dataset(), dataclasses.replace(TINY, model=model, train=settings))
    del HEADS[NAME]


def test_it_trains_all_its_parameters(trained):
    decoder = trained.params["decoder"]
    assert decoder["output"]["kernel"].shape == (8, 12)
    assert decoder["log_efficiency"].shape == (12,) and decoder["log_depth"].shape == ()
    for name in ("log_efficiency", "log_depth"):
        assert np.isfinite(decoder[name]).all() and (np.asarray(decoder[name]) != 0).all()
    assert np.isfinite(trained.history["train_loss"]).all()


def test_cells_are_drawn_with_it(trained):
    conditions = conditions_of([(), ("T0",), ("T1", "T2")], trained.treatments)
    draw = Draw(n_particles=2, library_size=200.0)
    chunks = list(sampling.draw_cells(trained.params, conditions, draw, spec=trained.spec))
    values = np.concatenate([chunk.values for chunk in chunks])
    assert values.shape == (2, 3, 12)
    assert (values == np.rint(values)).all() and values.min() >= 0


def test_effects_do_not_depend_on_the_order_of_genes(trained, monkeypatch):
    """Genes are drawn sorted by expression; every declared parameter must be sorted with them."""
    efficiency = np.linspace(-2, 2, 12, dtype=np.float32)[np.random.default_rng(0).permutation(12)]
    decoder = {**trained.params["decoder"], "log_efficiency": efficiency}
    params = {**jax.device_get(trained.params), "decoder": decoder}

    def effects():
        return average_effects(params, tiny_dataset(), SETTINGS, spec=trained.spec, progress=False)[
            0
        ]

    ordered = effects()
    monkeypatch.setattr(
        sampling, "gene_order", lambda *args, **kwargs: np.arange(12, dtype=np.uint32)
    )
    plain = effects()
    assert np.abs(plain.model["mean"]).max() > 0.1
    for transform, values in plain.model.items():
        np.testing.assert_allclose(ordered.model[transform], values, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            ordered.spread[transform], plain.spread[transform], rtol=1e-4, atol=1e-4
        )
