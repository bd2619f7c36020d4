"""Gathering rows of treatments into cells, against products with the dense dosage."""

import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gpo_vae_jax.model.cells import dosage_sum, failed, share_of_cells, share_of_failed
from gpo_vae_jax.types import Batch
from tests.float64 import run_in_float64
from tests.reference import dense_dosage

N_PERTURBED, N_TREATMENTS, N_CELLS = 4, 6, 5
flags = st.sampled_from([0.0, 1.0])


def cells(**fields) -> Batch:
    arrays = dict.fromkeys(Batch._fields) | fields
    return Batch(**{name: None if x is None else jnp.asarray(x) for name, x in arrays.items()})


@st.composite
def perturbed_cells(draw, dosages=flags):
    """Draw cells whose columns are any treatments; what only fills a row may repeat them."""
    width = draw(st.integers(1, 3))
    shape = (N_CELLS, width)
    index = draw(hnp.arrays(np.int32, shape, elements=st.integers(0, N_PERTURBED - 1)))
    dosage = draw(hnp.arrays(np.float32, shape, elements=dosages))
    for row, column in np.ndindex(shape):  # of equal columns only the last one counts
        if index[row, column] in index[row, column + 1 :]:
            dosage[row, column] = 0
    return cells(perturbation=index, dosage=dosage)


@settings(max_examples=30)
@given(batch=perturbed_cells(st.floats(-2, 2, width=32)), seed=st.integers(0, 9))
def test_dosage_sum_is_the_product_with_the_dense_dosage(batch, seed):
    rows = np.random.default_rng(seed).normal(size=(2, N_PERTURBED, 3)).astype(np.float32)
    dense = dense_dosage(batch, N_TREATMENTS)
    expected = dense[:, :N_PERTURBED] @ rows
    ours = dosage_sum(rows, batch)
    assert ours.shape == (2, N_CELLS, 3)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dosage_sum(rows[0], batch), expected[0], rtol=1e-5, atol=1e-6)
    assert (ours[:, ~dense.any(1)] == 0).all()  # controls


@settings(max_examples=30)
@given(
    batch=perturbed_cells(),
    n_cells=hnp.arrays(np.float32, N_TREATMENTS, elements=st.sampled_from([0, 1, 3, 20])),
)
def test_shares_of_cells_divide_a_row_by_its_number_of_cells(batch, n_cells):
    rows = np.random.default_rng(0).normal(size=(2, N_PERTURBED)).astype(np.float32)
    present = dense_dosage(batch, N_TREATMENTS)[:, :N_PERTURBED] != 0
    expected = np.zeros((2, N_CELLS))
    for cell, t in np.argwhere(present):
        if n_cells[t] > 0:
            expected[:, cell] += rows[:, t] / n_cells[t]
    ours = share_of_cells(rows, batch, jnp.asarray(n_cells))
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_shares_do_not_grow_with_the_dosage():
    batch = cells(
        perturbation=np.int32([[1, 0], [2, 3]]), dosage=np.float32([[0.25, 0], [2.0, -1.0]])
    )
    rows = np.float32([[1.0, 10.0, 100.0, 1000.0]])
    shares = share_of_cells(rows, batch, jnp.full(6, 2.0))
    np.testing.assert_allclose(shares, [[5.0, 550.0]])


def test_shares_add_up_to_the_rows_over_the_whole_split():
    rng = np.random.default_rng(0)
    batch = cells(
        perturbation=np.arange(40, dtype=np.int32)[:, None] % N_PERTURBED,
        dosage=np.ones((40, 1), np.float32),
        qc_fail=(rng.random((40, 2)) < 0.4).astype(np.float32),
    )
    rows = rng.normal(size=(3, N_PERTURBED)).astype(np.float32)
    shares = share_of_cells(rows, batch, jnp.full(N_TREATMENTS, 10.0))
    np.testing.assert_allclose(shares.sum(1), rows.sum(1), rtol=1e-4)
    columns = rng.normal(size=(3, 2)).astype(np.float32)
    shares = share_of_failed(columns, batch, batch.qc_fail.sum(0))
    np.testing.assert_allclose(shares.sum(1), columns.sum(1), rtol=1e-4)


def test_a_quality_column_without_cells_is_worth_nothing():
    batch = cells(qc_fail=np.float32([[0, 1], [1, 1], [0, 0]]))
    shares = share_of_failed(np.float32([[5.0, 6.0]]), batch, jnp.float32([0, 2]))
    np.testing.assert_array_equal(shares, [[3.0, 3.0, 0.0]])


def test_a_cell_has_failed_if_any_column_has():
    batch = cells(qc_fail=np.int32([[0, 0], [0, 1], [1, 0], [1, 1]]))
    np.testing.assert_array_equal(failed(batch), [0, 1, 1, 1])


def test_the_gradient_of_repeating_equals_autodiff_in_float64():
    run_in_float64("""
from gpo_vae_jax.model.cells import for_particles
rng = np.random.default_rng(0)
for n in (1, 2, 5):
    x, weight = jnp.asarray(rng.normal(size=(3, 4))), jnp.asarray(rng.normal(size=(n, 3, 4)))
    def gradient(repeated):
        return jax.grad(lambda x: (weight * jnp.sin(repeated(x))).sum())(x)
    ours = gradient(lambda x: for_particles(x, n))
    plain = gradient(lambda x: jnp.broadcast_to(x[None], (n, 3, 4)))
    np.testing.assert_allclose(ours, plain, rtol=1e-12, atol=1e-12)
""")
