"""Numbers of parameters at the published sizes."""

import pytest

from gpo_vae_jax.config import ModelConfig
from gpo_vae_jax.model import n_parameters
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Sizes
from tests.builders import param_shapes


@pytest.mark.parametrize(
    ("sizes", "n_latent", "expected"),
    [
        pytest.param(Sizes(8749, 655, 383), 200, 8_783_233, id="rpe1"),
        pytest.param(Sizes(8563, 1546, 622), 100, 12_333_934, id="k562"),
    ],
)
def test_published_models_have_the_published_number_of_parameters(sizes, n_latent, expected):
    assert n_parameters(param_shapes(Spec(sizes, ModelConfig(n_latent=n_latent)))) == expected
