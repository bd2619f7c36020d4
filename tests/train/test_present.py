"""Rows of a batch's own perturbations give what all rows give."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpo_vae_jax.model import sample_noise
from gpo_vae_jax.objective import loss
from gpo_vae_jax.train import present
from gpo_vae_jax.types import Sizes
from tests import builders

SIZES = Sizes(n_genes=7, n_treatments=60, n_perturbed=50, n_quality=1)


def gradients_of(case, batch, noise_key):
    rows = batch.rows
    noise = sample_noise(
        noise_key, case.config.model, SIZES, n_particles=2, n_cells=len(batch.weight), rows=rows
    )
    function = jax.value_and_grad(partial(loss, **case.settings), has_aux=True)
    return jax.jit(function)(case.params, case.context, batch, noise)


@pytest.mark.parametrize("kind", ["logits", "probs"])
@pytest.mark.parametrize("width", [1, 2])
def test_loss_and_gradients_are_those_of_all_rows(kind, width):
    config = builders.configure({"logits_or_probs": kind, "mask_init": 0.3})
    case = builders.make_case(config, SIZES, n_cells=9, width=width)
    few, number = present.present(case.batch, SIZES.n_perturbed, 24)
    assert 3 < number <= 24 and few.rows.shape == (24,)
    key = jax.random.key(1)
    (value, parts), expected = gradients_of(case, case.batch, key)
    (ours, our_parts), gradients = gradients_of(case, few, key)
    np.testing.assert_allclose(ours, value, rtol=1e-6)
    for name, part in parts.items():
        np.testing.assert_allclose(our_parts[name], part, rtol=1e-5, atol=1e-6, err_msg=name)
    for a, b in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6 * max(1, float(jnp.abs(b).max())))


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), width=st.integers(1, 3), n_cells=st.integers(1, 12))
def test_rows_are_the_perturbations_of_the_batch(seed, width, n_cells):
    batch = builders.make_batch(np.random.default_rng(seed), SIZES, n_cells, width)
    used = np.unique(np.asarray(batch.perturbation)[np.asarray(batch.dosage) != 0])
    few, number = present.present(batch, SIZES.n_perturbed, 40)
    assert number == len(used)
    np.testing.assert_array_equal(few.rows[: len(used)], used)
    where = np.asarray(batch.dosage) != 0
    named = np.asarray(few.rows)[np.asarray(few.perturbation)]
    np.testing.assert_array_equal(named[where], np.asarray(batch.perturbation)[where])


def test_a_batch_with_too_many_rows_takes_all_of_them():
    sizes = Sizes(n_genes=7, n_treatments=220, n_perturbed=200)
    n = 128
    batch = builders.make_batch(np.random.default_rng(0), sizes, n)
    most = present.most_rows(sizes.n_perturbed, n)
    assert most < sizes.n_perturbed
    crowded = batch._replace(perturbation=jnp.arange(n)[:, None], dosage=jnp.ones((n, 1)))

    def taken(batch):
        rows = 0 if batch.rows is None else len(batch.rows)
        return jnp.int32(rows), batch.perturbation.sum()

    rows, _ = present.with_rows_present(taken, batch, sizes.n_perturbed)
    assert rows == most
    rows, total = present.with_rows_present(taken, crowded, sizes.n_perturbed)
    assert rows == 0 and total == n * (n - 1) // 2
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), batch, crowded)
    rows, _ = jax.vmap(lambda b: present.with_rows_present(taken, b, sizes.n_perturbed))(both)
    assert rows.tolist() == [0, 0], "lanes of a vmap take one branch together"


@pytest.mark.parametrize(
    ("n_perturbed", "n_draws", "expected"),
    [(383, 512, range(288, 321)), (622, 512, range(352, 393)), (68, 512, [68]), (1, 8, [1])],
)
def test_most_rows_of_published_shapes(n_perturbed, n_draws, expected):
    assert present.most_rows(n_perturbed, n_draws) in expected


@settings(max_examples=20)
@given(n_perturbed=st.integers(2, 400), n_draws=st.integers(1, 600), seed=st.integers(0, 99))
def test_equally_frequent_perturbations_rarely_exceed_it(n_perturbed, n_draws, seed):
    most = present.most_rows(n_perturbed, n_draws)
    drawn = np.random.default_rng(seed).integers(n_perturbed, size=(20, n_draws))
    assert max(len(np.unique(row)) for row in drawn) <= most
