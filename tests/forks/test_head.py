"""A fork's own likelihood head: one module (scaled_poisson.py) and one line in `HEADS`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.effects.model_effects import average_effects
from gpo_vae_jax.model.heads import HEADS
from gpo_vae_jax.predict import sampling
from gpo_vae_jax.predict.conditions import conditions_of
from gpo_vae_jax.predict.sampling import Draw
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import StepState, train_step
from gpo_vae_jax.train.optimizer import make_optimizer
from tests import builders
from tests.forks.scaled_poisson import ScaledPoisson
from tests.tiny import tiny_dataset
from tests.train.conftest import TINY

NAME = "scaled_poisson"
SETTINGS = EvaluateConfig(effect_particles=8, top=3, top_sets=(2, 4), library_size=200.0)


@pytest.fixture(scope="module", autouse=True)
def fork():
    HEADS[NAME] = ScaledPoisson()  # the line
    yield
    del HEADS[NAME]


@pytest.fixture(scope="module")
def dataset():
    return tiny_dataset()


@pytest.fixture(scope="module")
def spec(dataset):
    model = dataclasses.replace(TINY.model, likelihood_key=NAME)
    return Spec.of(dataclasses.replace(TINY, model=model), dataset.sizes)


@pytest.fixture(scope="module")
def trained(dataset, spec):
    """Return the parameters after a few steps, and the loss before each."""
    rng, split = np.random.default_rng(0), dataset.splits["train"]
    params = builders.make_params(rng, spec)
    state = StepState(params, make_optimizer(spec.train).init(params))
    step, losses = jax.jit(train_step, static_argnames="spec"), []
    batch = jax.tree.map(lambda column: jnp.asarray(column[:32]), split.cells)
    noise = builders.make_noise(rng, spec, 32)
    for _ in range(10):
        state, parts = step(state, split.context, batch, noise, spec=spec)
        losses.append(float(parts["loss"]))
    return state.params, losses


def test_it_is_trained_like_any_head(trained, spec):
    params, losses = trained
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    before = builders.make_params(np.random.default_rng(0), spec)["decoder"]
    for name in ("output", "log_efficiency", "log_depth"):
        moved = jax.tree.map(lambda a, b: (a != b).all(), before[name], params["decoder"][name])
        assert all(jax.tree.leaves(moved)), name


def test_cells_are_drawn_with_it(trained, dataset, spec):
    conditions = conditions_of([(), ("T0",), ("T1", "T2")], dataset.treatments)
    chunks = sampling.draw_cells(
        trained[0], conditions, Draw(n_particles=2, library_size=200.0), spec=spec
    )
    values = np.concatenate([chunk.values for chunk in chunks])
    assert values.shape == (2, 3, 12)
    assert (values == np.rint(values)).all() and values.min() >= 0


def test_effects_do_not_depend_on_the_order_of_genes(trained, dataset, spec, monkeypatch):
    """Genes are drawn sorted by expression, and with them every declared parameter."""

    def effects():
        return average_effects(trained[0], dataset, SETTINGS, spec=spec, progress=False)[0]

    ordered = effects()
    in_order = np.arange(12, dtype=np.uint32)
    assert (sampling.gene_order(trained[0], Draw(library_size=200.0), spec=spec) != in_order).any()
    monkeypatch.setattr(sampling, "gene_order", lambda *args, **kwargs: in_order)
    plain = effects()
    assert np.abs(plain.fixed_library["mean"]).max() > 0.1
    for transform, values in plain.fixed_library.items():
        spread = plain.spread[transform]
        np.testing.assert_allclose(ordered.fixed_library[transform], values, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(ordered.spread[transform], spread, rtol=1e-4, atol=1e-4)
