"""The optimisers, from their definitions."""

import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.config import TrainConfig
from gpo_vae_jax.train.optimizer import (
    clip_by_global_norm,
    make_optimizer,
    rate_at,
    scaled,
    triangle,
)


@pytest.mark.parametrize("norm", [0.0, 3.0, 100.0, 5000.0])
def test_clip_factor_has_a_small_number_beside_the_norm(norm):
    gradient = {"a": jnp.array([0.6, 0.0]) * norm, "b": jnp.array([[0.8]]) * norm}
    clip = clip_by_global_norm(100.0)
    clipped, _ = clip.update(gradient, clip.init(gradient))
    factor = min(1.0, 100.0 / (norm + 1e-6))
    np.testing.assert_allclose(clipped["a"], np.array([0.6, 0.0]) * norm * factor, rtol=1e-6)
    np.testing.assert_allclose(clipped["b"], np.array([[0.8]]) * norm * factor, rtol=1e-6)


def test_first_adam_step_is_the_rate_times_the_sign_where_only_decay_acts():
    """With a zero gradient the coupled decay alone decides the direction."""
    params = {"w": jnp.array([2.0, -3.0, 0.0])}
    optimizer = make_optimizer(TrainConfig(learning_rate=0.1, weight_decay=1e-2))
    updates, _ = optimizer.update({"w": jnp.zeros(3)}, optimizer.init(params), params)
    np.testing.assert_allclose(updates["w"], [-0.1, 0.1, 0.0], rtol=1e-5)


def test_cyclic_rate_and_momentum_by_hand():
    config = TrainConfig(
        optimizer="sgd", cyclic_low=1.0, cyclic_high=3.0, cyclic_step_size_up=2, weight_decay=0.0
    )
    params = {"w": jnp.array([0.0])}
    optimizer, gradient = make_optimizer(config), {"w": jnp.array([1.0])}
    state, buffer = optimizer.init(params), None
    for rate, momentum in [(1, 0.9), (2, 0.85), (3, 0.8), (2, 0.85), (1, 0.9), (2, 0.85)]:
        updates, state = optimizer.update(gradient, state, params)
        buffer = 1.0 if buffer is None else momentum * buffer + 1.0
        np.testing.assert_allclose(updates["w"], [-rate * buffer], rtol=1e-6)


def test_triangle_repeats():
    heights = [float(triangle(jnp.int32(step), 447)) for step in (0, 447, 894, 894 + 447)]
    assert heights == [0.0, 1.0, 0.0, 1.0]


def test_the_rate_rises_and_falls_along_a_cosine():
    config = TrainConfig(schedule="warmup_cosine", warmup=0.2, final_rate=0.1)
    progress = np.array([0.0, 0.1, 0.2, 0.6, 1.0])
    rates = [rate_at(config, jnp.float32(p)) for p in progress]
    np.testing.assert_allclose(rates, [0, 0.5, 1, 0.55, 0.1], atol=1e-6)
    assert rate_at(TrainConfig(), jnp.float32(0.7)) == 1


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_a_schedule_may_be_all_rise_or_all_fall(warmup):
    config = TrainConfig(schedule="warmup_cosine", warmup=warmup, final_rate=0.5)
    rates = np.array([rate_at(config, jnp.float32(p)) for p in np.linspace(0, 1, 9)])
    assert np.isfinite(rates).all()
    steps = np.diff(rates)
    assert (steps[:-1] > 0).all() if warmup else (steps < 0).all()


def test_edges_have_a_rate_of_their_own():
    config = TrainConfig(mask_rate=5.0)
    updates = {"guide": {"mask_logits": jnp.ones(2), "mean": jnp.ones(2)}}
    found = scaled(updates, jnp.float32(0.5), config)["guide"]
    np.testing.assert_allclose(found["mask_logits"], 2.5)
    np.testing.assert_allclose(found["mean"], 0.5)
    assert scaled(updates, jnp.float32(1), TrainConfig()) is updates
