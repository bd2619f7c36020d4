"""What only a card can show: the numbers it computes, and that they are the same every time."""

import dataclasses

import jax
import numpy as np
import pytest

from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import init_state
from gpo_vae_jax.train.epoch import run_epoch
from gpo_vae_jax.train.program import compiled
from tests.train.conftest import TINY
from tests.train.test_epoch import on_device

pytestmark = pytest.mark.gpu


def epochs(dataset, device, n=3, **train):
    """Return the state and the last report of some epochs on a device."""
    config = dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, **train))
    spec = Spec.of(config, dataset.sizes)
    with jax.default_device(device):
        state, args = init_state(0, spec=spec), on_device(dataset)
        for _ in range(n):
            program = compiled(run_epoch, (state, *args), spec=spec, n_rows=None)
            state, report = program(state, *args)
    return jax.device_get((state, report))


def furthest(one, other):
    """Return the largest distance between two trees of arrays."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.abs(np.float64(a) - np.float64(b)).max()) for a, b in pairs)


def test_it_computes_what_the_processor_computes(dataset):
    on_gpu, _ = epochs(dataset, jax.devices("gpu")[0])
    on_cpu, _ = epochs(dataset, jax.devices("cpu")[0])
    assert furthest(on_gpu.current.params, on_cpu.current.params) < 1e-3


def test_deterministic_runs_are_the_same_bits(dataset):
    card = jax.devices("gpu")[0]
    first, *others = (epochs(dataset, card, deterministic=True) for _ in range(4))
    for other in others:
        for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(other), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("precision", "most"), [("tf32", 2e-2), ("bf16", 2e-1)])
def test_products_are_rounded_as_asked(dataset, precision, most):
    card = jax.devices("gpu")[0]
    exact, rounded = (epochs(dataset, card, 1, precision=p)[1] for p in ("float32", precision))
    assert (
        0 < furthest(exact.validation, rounded.validation) < most * float(exact.validation["loss"])
    )


def test_the_card_says_how_much_memory_it_has():
    assert jax.devices("gpu")[0].memory_stats()["bytes_limit"] > 2**30
