"""Noise: shapes, distributions, independence, and that every number has an address."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.config import ModelConfig
from gpo_vae_jax.model import sample_noise, sample_shared_noise
from gpo_vae_jax.model.noise import sample_basal_noise
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Sizes
from tests.builders import SMALL, make_noise

SPEC = Spec(Sizes(n_genes=9, n_treatments=5, n_perturbed=3, n_quality=2), SMALL)
draw = jax.jit(sample_noise, static_argnames=("spec", "n_particles", "n_cells"))
draw_shared = jax.jit(sample_shared_noise, static_argnames="spec")


def test_noise_has_rows_for_perturbed_treatments_only():
    noise = jax.eval_shape(
        functools.partial(sample_noise, spec=SPEC, n_particles=4, n_cells=6), jax.random.key(0)
    )
    expected = make_noise(np.random.default_rng(0), SPEC, 6, 4)
    assert jax.tree.map(jnp.shape, noise) == jax.tree.map(jnp.shape, expected)
    assert noise.shared.mask.shape == (4, 3, 5)


def test_the_two_guide_passes_and_all_variables_draw_their_own_noise():
    sizes = Sizes(n_genes=9, n_treatments=40, n_perturbed=40)
    spec = Spec(sizes, ModelConfig(n_latent=1600))
    noise = draw(jax.random.key(1), spec=spec, n_particles=3, n_cells=1)
    draws = np.stack([np.ravel(leaf) for leaf in jax.tree.leaves(noise)])
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert len(draws) == 7
    assert np.abs(correlation).max() < 5 / 4800**0.5


def test_mask_noise_is_standard_logistic_and_the_rest_standard_normal():
    spec = Spec(Sizes(n_genes=9, n_treatments=50, n_perturbed=50), SMALL)
    noise = draw(jax.random.key(0), spec=spec, n_particles=4, n_cells=1000)
    for values, deviation in (
        (noise.shared.mask, np.pi / 3**0.5),
        (noise.counterfactual.mask, np.pi / 3**0.5),
        (noise.shared.embedding, 1.0),
        (noise.counterfactual.embedding, 1.0),
        (noise.basal, 1.0),
    ):
        np.testing.assert_allclose(np.std(values), deviation, rtol=0.05)
        assert abs(np.mean(values)) < 0.1


def test_a_draw_does_not_depend_on_the_particles_and_rows_drawn_with_it():
    key, particles, rows = jax.random.key(3), np.array([4, 0, 7]), np.array([4, 1, 2])
    whole = draw_shared(key, spec=SPEC, particles=particles, rows=rows)
    part = draw_shared(key, spec=SPEC, particles=particles[1:], rows=rows[:2])
    np.testing.assert_array_equal(part.mask, whole.mask[1:, :2])
    np.testing.assert_array_equal(part.embedding, whole.embedding[1:, :2])
    np.testing.assert_array_equal(part.quality, whole.quality[1:])
    cells = jax.jit(sample_basal_noise, static_argnames="spec")
    whole = cells(key, spec=SPEC, particles=particles, rows=rows)
    part = cells(key, spec=SPEC, particles=particles[1:], rows=rows[:2])
    np.testing.assert_array_equal(part, whole[1:, :2])


@pytest.mark.usefixtures("no_key_reuse")
def test_no_key_is_used_twice():
    sample_noise(jax.random.key(0), SPEC, n_particles=2, n_cells=2)


# The first number of every variable. JAX 0.5 changed the default of `threefry_partitionable`.
RECORDED = {
    True: (0.948994, 0.445058, -0.743845, 1.106440, -1.506832, -0.863147, 0.679654),
    False: (1.445386, 0.170588, 1.663761, -0.492425, 0.102844, -1.282029, -1.164599),
}


@pytest.mark.parametrize("partitionable", [True, False])
def test_training_draws_the_recorded_numbers(partitionable):
    """A seed is the same run in every version of this package."""
    with jax.threefry_partitionable(partitionable):
        noise = draw(jax.random.key(0), spec=SPEC, n_particles=2, n_cells=2)
    first = [float(np.ravel(leaf)[0]) for leaf in jax.tree.leaves(noise)]
    np.testing.assert_allclose(first, RECORDED[partitionable], atol=2e-6)
