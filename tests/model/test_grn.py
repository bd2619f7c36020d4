"""Effects along paths of the network, against explicit powers of its matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.model.grn import alignment_gap, reach, scaled_reach
from gpo_vae_jax.types import Sizes
from tests import reference
from tests.builders import make_batch
from tests.float64 import run_in_float64


@pytest.mark.parametrize("hop", [0, 1, 2, 5])
def test_reach_is_the_sum_of_shrunk_powers(hop):
    network = np.random.default_rng(0).normal(size=(5, 5)).astype(np.float32)
    expected = reference.reach(network.astype(float), "logits", hop)
    ours = reach(network, network, hop, 5.0)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(reach(network[:2], network, hop, 5.0), expected[:2], 1e-4, 1e-5)


def plain_reach(start, network, hop, shrink):
    total = step = start
    for _ in range(hop):
        step = step @ network / shrink
        total = total + step
    return total


def test_gradients_of_reach_equal_autodiff_in_float64():
    program = """
from gpo_vae_jax.model.grn import reach
from tests.model.test_grn import plain_reach
rng = np.random.default_rng(0)
start, network, weight = (jnp.asarray(rng.normal(size=(n, 6))) for n in (3, 6, 3))
for hop in (0, 1, 2, 5):
    def gradients(function):
        return jax.grad(lambda *a: (weight * function(*a, hop, 2.0)).sum(), (0, 1))(start, network)
    def through_both(function):
        return jax.grad(lambda a: (function(a, a, hop, 2.0) ** 2).sum())(network)
    for a, b in zip(gradients(reach), gradients(plain_reach), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(through_both(reach), through_both(plain_reach), rtol=1e-11)
"""
    run_in_float64(program)


def test_reach_follows_a_chain_one_edge_for_each_hop():
    chain = np.eye(5, k=1, dtype=np.float32)  # 0 -> 1 -> 2 -> 3 -> 4
    for hop in range(5):
        reached = np.flatnonzero(reach(chain[:1], chain, hop, 1.0)[0])
        np.testing.assert_array_equal(reached, np.arange(1, min(hop + 2, 5)))


@pytest.mark.parametrize("hop", [0, 3, 5])
def test_scaled_reach_normalises_rows_before_and_scales_columns_after(hop):
    probs = np.random.default_rng(1).random((6, 6)).astype(np.float32)
    ours = np.asarray(scaled_reach(probs, hop))
    np.testing.assert_allclose(
        ours, reference.reach(probs.astype(float), "probs", hop), rtol=2e-4, atol=1e-5
    )
    np.testing.assert_allclose(ours.min(0), 0, atol=1e-6)
    np.testing.assert_allclose(ours.max(0), 1, rtol=1e-5)


def test_scaled_reach_of_a_network_without_edges_is_zero_with_finite_gradient():
    probs = jnp.zeros((3, 3)).at[0, 1].set(0.5)  # two rows without mass
    assert np.isfinite(jax.grad(lambda p: scaled_reach(p, 2).sum())(probs)).all()
    np.testing.assert_array_equal(scaled_reach(jnp.zeros((3, 3)), 2), 0)


@pytest.mark.parametrize("kind", ["logits", "probs"])
@pytest.mark.parametrize("n_cells", [2, 3, 12])
def test_gap_is_the_dense_product_whether_cells_or_treatments_are_fewer(kind, n_cells):
    rng, t, r = np.random.default_rng(n_cells), 5, 4
    batch = make_batch(rng, Sizes(3, t, r), n_cells, width=2)
    values = rng.random((t, t)).astype(np.float32)
    dense = reference.dense_dosage(batch, t)
    change = np.asarray(batch.delta, float) - 0.4
    target = change if kind == "logits" else 1 / (1 + np.exp(-change))
    expected = np.abs(dense @ reference.reach(values.astype(float), kind, 3) - target)
    ours = alignment_gap(values, batch, kind, hop=3, fc_criteria=0.4, n_perturbed=r)
    assert ours.shape == (n_cells, t)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=2e-6)
