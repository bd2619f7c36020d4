"""The distance of perturbed from control cells in the latent space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.model.invariance import distance_from_controls
from gpo_vae_jax.types import Sizes
from tests.builders import make_batch

SIZES = Sizes(5, 4, 4)
measure = jax.jit(distance_from_controls, static_argnames="n_perturbed")


def cells(groups, width=1):
    """Return a batch of cells with these perturbations; -1 is the control."""
    groups = np.asarray(groups)
    batch = make_batch(np.random.default_rng(0), SIZES, len(groups), width)
    perturbation = np.zeros((len(groups), width), np.int32)
    dosage = np.zeros((len(groups), width), np.float32)
    perturbation[:, 0], dosage[:, 0] = np.maximum(groups, 0), groups >= 0
    return batch._replace(perturbation=jnp.asarray(perturbation), dosage=jnp.asarray(dosage))


def by_hand(z, groups):
    total, control = 0.0, z[groups < 0]
    for t in range(4):
        own = z[groups == t]
        if len(own) > 1 and len(control) > 1:
            d = np.square(own.mean(0) - control.mean(0)).sum()
            d -= own.var(0, ddof=1).sum() / len(own)
            d -= control.var(0, ddof=1).sum() / len(control)
            total += len(own) / len(z) * max(0.0, d)
    return total


GROUPS = np.array([-1, -1, -1, 0, 0, 1, 1, 1, 1, 2])


@pytest.mark.parametrize("shift", [0.0, 2.0, 5.0])
@pytest.mark.parametrize("width", [1, 3])
def test_it_is_the_definition(shift, width):
    z = np.random.default_rng(1).normal(size=(10, 3)) + shift * (GROUPS == 1)[:, None]
    found = measure(jnp.asarray(z, jnp.float32), cells(GROUPS, width), 4)
    np.testing.assert_allclose(found, by_hand(z, GROUPS), rtol=1e-4, atol=1e-5)
    assert shift == 0 or found > 0.1


def test_order_of_cells_and_padding_do_not_matter():
    z = np.random.default_rng(2).normal(size=(10, 3)).astype(np.float32) + (GROUPS >= 0)[:, None]
    order = np.random.default_rng(3).permutation(10)
    plain = measure(jnp.asarray(z), cells(GROUPS), 4)
    assert plain > 0
    np.testing.assert_allclose(
        measure(jnp.asarray(z[order]), cells(GROUPS[order]), 4), plain, rtol=1e-5
    )
    padded = cells(np.append(GROUPS, [1, -1]))
    padded = padded._replace(weight=jnp.append(jnp.ones(10), jnp.zeros(2)))
    np.testing.assert_allclose(
        measure(jnp.asarray(np.vstack([z, 9 * z[:2]])), padded, 4), plain, rtol=1e-5
    )


def test_named_rows_are_those_of_the_batch():
    z = np.random.default_rng(4).normal(size=(10, 3)).astype(np.float32) + (GROUPS >= 0)[:, None]
    few = cells(GROUPS)._replace(rows=jnp.array([0, 1, 2], jnp.int32))
    np.testing.assert_allclose(
        measure(jnp.asarray(z), few, 4), measure(jnp.asarray(z), cells(GROUPS), 4), rtol=1e-6
    )


def test_the_estimate_is_unbiased_before_negative_ones_are_cut():
    """Far from 0 nothing is cut: the mean over draws is the true squared distance."""
    groups = np.array([-1] * 4 + [0] * 3)
    draws = np.random.default_rng(5).normal(size=(4000, 7, 2)).astype(np.float32)
    draws[:, 4:] += 4.0
    of_draws = jax.vmap(lambda z: distance_from_controls(z, cells(groups), 4))(jnp.asarray(draws))
    error = float(of_draws.std()) / np.sqrt(len(draws))
    assert abs(float(of_draws.mean()) - 3 / 7 * 32) < 4 * error


def test_without_enough_cells_there_is_no_distance_and_no_nan():
    for groups in ([-1, -1, 0], [-1, 0, 0], [0, 0, 1, 1], [-1, -1, -1]):
        z = jnp.asarray(np.random.default_rng(6).normal(size=(len(groups), 2)), jnp.float32)
        value, slope = jax.value_and_grad(distance_from_controls)(z, cells(groups), 4)
        assert value == 0 and (slope == 0).all()
