"""The factors of every product are rounded to its precision, and nothing else is."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from benchmarks.programs.rounded import bits_of, rounded


def pair(seed=0):
    random = np.random.default_rng(seed)
    shapes = ((7, 300), (300, 5))
    return tuple(jnp.asarray(random.normal(size=shape), jnp.float32) for shape in shapes)


def kept(a, bits):
    """Round to nearest, in float64: by scaling each number to 1 <= |x| < 2."""
    a = np.asarray(a, np.float64)
    unit = 2.0 ** np.floor(np.log2(np.abs(a)))
    return np.round(a / unit * 2**bits) / 2**bits * unit


@pytest.mark.parametrize(("precision", "bits"), [("highest", 23), ("high", 10), ("default", 7)])
def test_a_product_of_rounded_factors(precision, bits):
    a, b = pair()
    found = rounded(partial(jnp.matmul, precision=precision))(a, b)
    expected = kept(a, bits) @ kept(b, bits)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
    if bits < 23:  # the exact product is further away than that
        assert np.abs(np.asarray(a, np.float64) @ np.asarray(b) - expected).max() > 1e-3


def test_bfloat16_is_bfloat16():
    a, b = pair(1)
    found = rounded(partial(jnp.matmul, precision="default"))(a, b)
    factors = (x.astype(jnp.bfloat16).astype(jnp.float32) for x in (a, b))
    np.testing.assert_array_equal(found, jnp.matmul(*factors, precision="highest"))


def ways():
    def straight(a, b):
        return a @ b

    def looped(a, b):
        return lax.scan(lambda total, row: (total, row @ b), 0.0, a)[1]

    def counted(a, b):
        body = lambda i, out: out.at[i].set(a[i] @ b)  # noqa: E731
        return lax.fori_loop(0, a.shape[0], body, jnp.zeros((a.shape[0], b.shape[1])))

    def branched(a, b):
        return lax.cond(a.sum() < 1e9, lambda: a @ b, lambda: jnp.zeros((7, 5)))

    @jax.custom_vjp
    def own(a, b):
        return a @ b

    own.defvjp(lambda a, b: (a @ b, (a, b)), lambda kept, g: (g @ kept[1].T, kept[0].T @ g))
    return [straight, looped, counted, branched, jax.jit(straight), own]


@pytest.mark.parametrize("number", range(6))
def test_products_inside_loops_branches_and_calls(number):
    way, (a, b) = ways()[number], pair(2)
    with jax.default_matmul_precision("bfloat16"):
        expected = rounded(jnp.matmul)(a, b)
        found = jax.jit(rounded(way))(a, b)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
    assert float(jnp.abs(found - way(a, b)).max()) > 1e-3


def test_the_gradients_products_are_rounded_too():
    a, b = pair(3)
    with jax.default_matmul_precision("bfloat16"):
        gradient = rounded(jax.grad(lambda a, b: jnp.sum(jnp.sin(a @ b))))(a, b)
        cotangent = jnp.cos(rounded(jnp.matmul)(a, b))
        expected = rounded(jnp.matmul)(cotangent, b.T)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=2e-5)


def test_trees_keys_and_integers_pass_through():
    def function(tree, key):
        return {"sum": tree["n"] + 1, "draw": jax.random.normal(key, (3,)), "flag": tree["n"] > 2}

    given = {"n": jnp.arange(5)}
    found, expected = (f(given, jax.random.key(0)) for f in (rounded(function), function))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_the_precision_of_a_product():
    assert bits_of(None) is None and bits_of((lax.Precision.HIGHEST,) * 2) is None
    assert bits_of((lax.Precision.HIGH,) * 2) == 10 and bits_of(lax.Precision.DEFAULT) == 7
