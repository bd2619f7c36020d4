"""Genes that fill up arrays: nothing else changes, and they stay idle."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from gpo_vae_jax.model import sample_noise
from gpo_vae_jax.model.heads import HEADS
from gpo_vae_jax.objective import loss
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import init_state
from gpo_vae_jax.train.filling import Filling
from gpo_vae_jax.train.step import apply_gradients
from tests.train.test_forms import SETTINGS, changed

N_GIVEN, N_FILLED = 12, 16


@pytest.fixture(autouse=True)
def _for_a_gpu(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    jax.clear_caches()
    yield
    jax.clear_caches()


def filling_of(config, dataset):
    """Return the settings with the genes that are given, and how these are filled up."""
    spec = Spec.of(config, dataset.sizes)
    filling = Filling.of(spec, None)
    assert filling.spec.sizes.n_genes == N_FILLED
    return spec, filling


@pytest.mark.parametrize("name", ["published", "descent", "accurate"])
def test_what_is_filled_up_is_cut_again(name, dataset):
    spec, filling = filling_of(SETTINGS[name], dataset)
    state = init_state(3, spec=spec).current
    filled = filling.state(state)
    assert jax.tree.structure(filled) == jax.tree.structure(state)
    wanted = jax.eval_shape(lambda: init_state(3, spec=filling.spec).current)
    assert jax.tree.map(np.shape, filled) == jax.tree.map(np.shape, wanted)
    for a, b in zip(jax.tree.leaves(filling.cut(filled)), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["published", "importance", "accurate"])
def test_loss_and_gradients_are_those_without_the_new_genes(name, dataset):
    spec, filling = filling_of(SETTINGS[name], dataset)
    split = dataset.splits["train"]
    batch = jax.tree.map(lambda a: a[:20], split.cells)
    params = init_state(1, spec=spec).current.params
    noise = sample_noise(jax.random.key(2), spec, n_particles=2, n_cells=20)

    def found(params, context, batch, spec):
        function = jax.value_and_grad(partial(loss, spec=spec), has_aux=True)
        (value, _), gradient = jax.jit(function)(params, context, batch, noise)
        return value, gradient

    value, gradient = found(params, split.context, batch, spec)
    more_value, more = found(
        filling.params(params), filling.context(split.context), filling.batch(batch), filling.spec
    )
    np.testing.assert_allclose(more_value, value, rtol=1e-6)
    for a, b in zip(jax.tree.leaves(filling.cut(more)), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())
    assert not np.asarray(more["decoder"]["output"]["kernel"])[:, N_GIVEN:].any()
    assert not np.asarray(more["decoder"]["output"]["bias"])[N_GIVEN:].any()
    first = more["guide"]["basal_encoder"]["mlp"]["first"]["kernel_expression"]
    assert not np.asarray(first)[N_GIVEN:].any()


def test_decay_leaves_the_new_genes_idle(dataset):
    """Weight decay pulls their biases towards 0, by no more than a step each."""
    config = changed(train={"weight_decay": 0.1, "learning_rate": 1e-2})
    spec, filling = filling_of(config, dataset)
    state = filling.state(init_state(0, spec=spec).current)
    zeros = jax.tree.map(np.zeros_like, state.params)
    step = jax.jit(lambda state: apply_gradients(state, zeros, {}, spec=filling.spec)[0])
    for _ in range(50):
        state = step(state)
    idle = np.asarray(state.params["decoder"]["output"]["bias"])[N_GIVEN:]
    assert (idle < -9_000).all()


@pytest.mark.parametrize("key", HEADS)
def test_heads_without_an_idle_gene_are_not_filled_up(key, dataset):
    config = changed(model={"likelihood_key": key})
    filling = Filling.of(Spec.of(config, dataset.sizes), None)
    assert (filling is None) == (not HEADS[key].idle)


def test_aligned_genes_and_cpus_are_left_alone(dataset, monkeypatch):
    spec = Spec.of(SETTINGS["published"], dataset.sizes)
    even = dataclasses.replace(spec, sizes=dataclasses.replace(spec.sizes, n_genes=N_FILLED))
    assert Filling.of(even, None) is None
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert Filling.of(spec, None) is None
