"""Network blocks: the layer over a concatenation, initial values, the activation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.model.layers import BlockDense, Dense, GaussianHead, ResidualMLP, leaky_relu

BLOCKS = (("left", 3), ("middle", 1), ("right", 5))


def start(module, call):
    """Return the module bound to its initial values, and these values."""
    params = module.init(jax.random.key(0), method=call)
    return module.bind(params), jax.tree.map(np.asarray, params["params"])


@pytest.fixture
def layer():
    return start(BlockDense(BLOCKS, 4), lambda module: module.add_bias(jnp.zeros((1, 4))))


def test_block_dense_is_dense_on_the_concatenation(layer):
    module, params = layer
    rng = np.random.default_rng(0)
    inputs = {name: rng.normal(size=(2, 6, width)).astype(np.float32) for name, width in BLOCKS}
    inputs["middle"] = inputs["middle"][:, :1]  # the same for all rows: broadcast by the sum
    ours = module.add_bias(sum(module.project(name, x) for name, x in inputs.items()))
    kernel = np.concatenate([params[f"kernel_{name}"] for name, _ in BLOCKS])
    whole = np.concatenate([np.broadcast_to(x, (2, 6, x.shape[-1])) for x in inputs.values()], -1)
    dense = Dense(9, 4).apply({"params": {"kernel": kernel, "bias": params["bias"]}}, whole)
    np.testing.assert_allclose(ours, dense, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours, whole @ kernel + params["bias"], rtol=1e-5, atol=1e-6)


def test_rows_are_the_shares_of_one_hot_inputs(layer):
    module, _ = layer
    np.testing.assert_array_equal(module.rows("right", 2), module.project("right", jnp.eye(5)[:2]))


@pytest.mark.parametrize(
    ("module", "call", "fan_in"),
    [
        (Dense(100, 300), lambda module: module(jnp.zeros((1, 100))), 100),
        (
            BlockDense((("a", 60), ("b", 40)), 300),
            lambda module: module.add_bias(jnp.zeros((1, 300))),
            100,
        ),
    ],
)
def test_weights_and_biases_start_uniform_within_the_root_of_the_total_fan_in(module, call, fan_in):
    _, params = start(module, call)
    bound = fan_in**-0.5
    for values in params.values():
        values = np.ravel(values)
        assert np.abs(values).max() <= bound
        np.testing.assert_allclose(values.std(), bound / 3**0.5, rtol=0.1)
        assert abs(values.mean()) < 5 * bound / 3**0.5 / values.size**0.5
        np.testing.assert_allclose([values.min(), values.max()], [-bound, bound], rtol=0.05)
    leaves = [np.ravel(values) for values in params.values()]
    assert len(np.unique(np.concatenate(leaves)[:600])) > 590  # each parameter its own draws


def test_leaky_relu_has_the_slope_of_the_negative_side_at_zero():
    x = jnp.float32([-2.0, 0.0, 3.0])
    np.testing.assert_allclose(leaky_relu(x), [-0.02, 0.0, 3.0], rtol=1e-6)
    slopes = jax.vmap(jax.grad(leaky_relu))(x)
    np.testing.assert_allclose(slopes, [0.01, 0.01, 1.0], rtol=1e-6)


@pytest.mark.parametrize("n_layers", [1, 3])
def test_residual_mlp_skips_over_every_layer_but_the_first(n_layers):
    module = ResidualMLP((("x", 4),), 4, n_layers)
    bound, params = start(module, lambda module: module(jnp.zeros((1, 4))))
    assert len(params) == n_layers
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    h = np.asarray(leaky_relu(x @ params["first"]["kernel_x"] + params["first"]["bias"]))
    for i in range(n_layers - 1):
        layer = params[f"later_{i}"]
        h = np.asarray(leaky_relu(h @ layer["kernel"] + layer["bias"])) + h
    np.testing.assert_allclose(bound(bound.project("x", x)), h, rtol=1e-5, atol=1e-6)


def test_gaussian_head_gives_the_exponential_of_its_output_above_a_floor():
    module = GaussianHead((("x", 2),), 3, 1, 2)
    bound, params = start(module, lambda module: module(jnp.zeros((1, 3))))
    h = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    hidden = np.asarray(leaky_relu(h + params["mlp"]["first"]["bias"]))
    mean, log_variance = (
        hidden @ params[name]["kernel"] + params[name]["bias"] for name in ("mean", "log_variance")
    )
    given = bound(h)
    np.testing.assert_allclose(given.mean, mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(given.variance, np.exp(log_variance) + 1e-4, rtol=1e-5)
    params["log_variance"]["bias"] = params["log_variance"]["bias"] - 200
    lowest = module.bind({"params": params})(h).variance
    np.testing.assert_array_equal(lowest, np.full((4, 2), 1e-4, np.float32))
