"""Numbers of parameters at the published sizes, and the shape and independence of the noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.config import ModelConfig
from gpo_vae_jax.model import n_parameters, sample_noise
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Sizes
from tests.builders import SMALL, make_noise, param_shapes


@pytest.mark.parametrize(
    ("sizes", "n_latent", "expected"),
    [
        pytest.param(Sizes(8749, 655, 383), 200, 8_783_233, id="rpe1"),
        pytest.param(Sizes(8563, 1546, 622), 100, 12_333_934, id="k562"),
    ],
)
def test_published_models_have_the_published_number_of_parameters(sizes, n_latent, expected):
    assert n_parameters(param_shapes(Spec(sizes, ModelConfig(n_latent=n_latent)))) == expected


def test_noise_has_rows_for_perturbed_treatments_only():
    sizes = Sizes(n_genes=9, n_treatments=5, n_perturbed=3, n_quality=2)
    spec = Spec(sizes, SMALL)
    noise = sample_noise(jax.random.key(0), spec, n_particles=4, n_cells=6)
    expected = make_noise(np.random.default_rng(0), spec, 6, 4)
    assert jax.tree.map(jnp.shape, noise) == jax.tree.map(jnp.shape, expected)
    assert noise.shared.mask.shape == (4, 3, 5)


def test_the_two_guide_passes_and_all_variables_draw_their_own_noise():
    sizes = Sizes(n_genes=9, n_treatments=40, n_perturbed=40)
    spec = Spec(sizes, ModelConfig(n_latent=1600))
    noise = sample_noise(jax.random.key(1), spec, n_particles=3, n_cells=1)
    draws = np.stack([np.ravel(leaf) for leaf in jax.tree.leaves(noise)])
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert len(draws) == 7
    assert np.abs(correlation).max() < 5 / 4800**0.5


def test_mask_noise_is_standard_logistic_and_the_rest_standard_normal():
    sizes = Sizes(n_genes=9, n_treatments=50, n_perturbed=50)
    noise = sample_noise(jax.random.key(0), Spec(sizes, SMALL), n_particles=4, n_cells=1000)
    for values, deviation in (
        (noise.shared.mask, np.pi / 3**0.5),
        (noise.counterfactual.mask, np.pi / 3**0.5),
        (noise.shared.embedding, 1.0),
        (noise.counterfactual.embedding, 1.0),
        (noise.basal, 1.0),
    ):
        np.testing.assert_allclose(np.std(values), deviation, rtol=0.05)
        assert abs(np.mean(values)) < 0.1
