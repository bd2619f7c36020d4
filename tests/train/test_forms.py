"""The forms of a program: what a GPU is given computes what a CPU is given."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax import presets
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import init_state, run_steps
from gpo_vae_jax.train.batches import shuffled
from gpo_vae_jax.train.packing import Packing
from gpo_vae_jax.train.present import rows_of_batches
from tests.train.conftest import TINY
from tests.train.test_epoch import on_device


def changed(**groups):
    """Return the tiny settings with some fields of some groups changed."""
    new = {name: dataclasses.replace(getattr(TINY, name), **of) for name, of in groups.items()}
    return dataclasses.replace(TINY, **new)


def accurate():
    """Return the `accurate` model, tiny: propagated effects, a readout, cells that escape."""
    model = dataclasses.replace(
        presets.accurate().model, n_latent=4, basal_encoder_n_hidden=8, decoder_n_hidden=8
    )
    train = dataclasses.replace(presets.accurate().train, batch_size=32, n_particles=2)
    return dataclasses.replace(presets.accurate(), model=model, train=train)


SETTINGS = {
    "published": TINY,
    "probabilities": changed(model={"logits_or_probs": "probs", "mask_init": 0.3}),
    "importance": changed(objective={"objective": "iwelbo"}),
    "one_pass": changed(objective={"beta": 0.0}),
    "six_particles": changed(train={"n_particles": 6}),
    "no_hops": changed(objective={"hop": 0}),
    "descent": changed(train={"optimizer": "sgd"}),
    "schedule": changed(train={"schedule": "warmup_cosine", "mask_rate": 3.0}),
    "accurate": accurate(),
}


def steps_of(name, dataset, backend, monkeypatch, n_rows):
    """Return the state and the losses of an epoch's steps, in the form for a backend."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    jax.clear_caches()
    spec = Spec.of(SETTINGS[name], dataset.sizes)
    state, split = init_state(0, spec=spec), on_device(dataset)[0]
    batches = shuffled(state.seed, state.epoch, len(split.cells.weight), 32)
    program = jax.jit(partial(run_steps, spec=spec, n_rows=n_rows))
    found = jax.device_get(program(state.current, split, *batches, state.seed, state.step))
    jax.clear_caches()
    return found


@pytest.mark.parametrize(
    ("name", "n_rows"), [*((name, 2) for name in SETTINGS), ("published", None), ("published", 5)]
)
def test_the_form_for_a_gpu_computes_what_that_for_a_cpu_computes(
    name, n_rows, dataset, monkeypatch
):
    """With all rows, with too few for some batch, and with more than there are."""
    expected = steps_of(name, dataset, "cpu", monkeypatch, None)
    found = steps_of(name, dataset, "gpu", monkeypatch, n_rows)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_packing_is_undone(dataset, monkeypatch):
    """Whatever the leaves hold, and with the moments of either optimiser."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for name in ("published", "descent"):
        state = init_state(3, spec=Spec.of(SETTINGS[name], dataset.sizes)).current
        state = jax.tree.map(
            lambda a: a + jnp.arange(a.size, dtype=a.dtype).reshape(a.shape), state
        )
        packing = Packing.of(state.params, None)
        packed = packing.pack_state(state)
        assert len(jax.tree.leaves(packed)) < len(jax.tree.leaves(state)) / 2
        for a, b in zip(
            jax.tree.leaves(packing.unpack_state(packed)), jax.tree.leaves(state), strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_a_gpu_is_given_rows_that_all_batches_keep_to(dataset, monkeypatch):
    split = dataset.splits["train"]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    rows = rows_of_batches(split, 32, dataset.sizes.n_perturbed)
    assert rows == dataset.sizes.n_treatments  # 16 are more than there are
