"""The rows of a batch's own perturbations lead to the same result as all rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpo_vae_jax.train import present
from gpo_vae_jax.types import Sizes, Split
from tests import builders
from tests.float64 import run_in_float64
from tests.forms import FOR_A_CPU

SIZES = Sizes(n_genes=7, n_treatments=60, n_perturbed=50, n_quality=1)


SAME = """
from functools import partial
from gpo_vae_jax.model import sample_noise
from gpo_vae_jax.objective import loss
from gpo_vae_jax.train import present
from tests import builders
from tests.train.test_present import SIZES

def wide(tree):
    real = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.floating)
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64) if real(leaf) else leaf, tree)

def gradients_of(case, batch):
    rows, key = batch.rows, jax.random.key(1)
    noise = sample_noise(key, case.spec, n_particles=2, n_cells=len(batch.weight), rows=rows)
    function = jax.value_and_grad(partial(loss, spec=case.spec), has_aux=True)
    return jax.jit(function)(*map(wide, (case.params, case.context, batch, noise)))

for kind in ("logits", "probs"):
    for width in (1, 2):
        config = builders.configure({"logits_or_probs": kind, "mask_init": 0.3})
        case = builders.make_case(config, SIZES, n_cells=9, width=width)
        few, number = present.present(case.batch, SIZES.n_perturbed, 24)
        assert 3 < number <= 24 and few.rows.shape == (24,)
        (value, parts), expected = gradients_of(case, case.batch)
        (ours, our_parts), gradients = gradients_of(case, few)
        assert value.dtype == jnp.float64
        np.testing.assert_allclose(ours, value, rtol=1e-12)
        for name, part in parts.items():
            np.testing.assert_allclose(our_parts[name], part, rtol=1e-12, atol=1e-12, err_msg=name)
        for a, b in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected), strict=True):
            scale = max(1, float(jnp.abs(b).max()))
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13 * scale)
"""


def test_loss_and_gradients_are_those_of_all_rows():
    """In float64: float32 sums in another order, and rounds by up to 2e-5 of the largest."""
    run_in_float64(SAME)


present_in = jax.jit(present.present, static_argnums=(1, 2))


@settings(max_examples=30)
@given(
    seed=st.integers(0, 1000), width=st.sampled_from([1, 3]), n_cells=st.sampled_from([1, 5, 12])
)
def test_rows_are_the_perturbations_of_the_batch(seed, width, n_cells):
    batch = builders.make_batch(np.random.default_rng(seed), SIZES, n_cells, width)
    used = np.unique(np.asarray(batch.perturbation)[np.asarray(batch.dosage) != 0])
    few, number = present_in(batch, SIZES.n_perturbed, 40)
    assert number == len(used)
    np.testing.assert_array_equal(few.rows[: len(used)], used)
    where = np.asarray(batch.dosage) != 0
    named = np.asarray(few.rows)[np.asarray(few.perturbation)]
    np.testing.assert_array_equal(named[where], np.asarray(batch.perturbation)[where])


def taken(batch):
    """Show which rows a function was given."""
    rows = 0 if batch.rows is None else len(batch.rows)
    return jnp.int32(rows), batch.perturbation.sum()


def test_a_batch_with_too_many_rows_takes_all_of_them():
    n = 40
    batch = builders.make_batch(np.random.default_rng(0), SIZES, n)
    crowded = batch._replace(perturbation=jnp.arange(n)[:, None], dosage=jnp.ones((n, 1)))
    rows, _ = present.with_rows_present(taken, batch, 32, SIZES.n_perturbed)
    assert rows == 32
    rows, total = present.with_rows_present(taken, crowded, 32, SIZES.n_perturbed)
    assert rows == 0 and total == n * (n - 1) // 2
    for n_rows in (None, 50):
        rows, _ = present.with_rows_present(taken, batch, n_rows, SIZES.n_perturbed)
        assert rows == 0


def test_lanes_of_a_vmap_take_one_branch_together():
    n = 40
    batch = builders.make_batch(np.random.default_rng(0), SIZES, n)
    crowded = batch._replace(perturbation=jnp.arange(n)[:, None], dosage=jnp.ones((n, 1)))

    def rows(*batches):
        both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
        of_lane = lambda b: present.with_rows_present(taken, b, 32, SIZES.n_perturbed)[0]  # noqa: E731
        return jax.vmap(of_lane)(both).tolist()

    assert rows(batch, batch) == [32, 32]
    assert rows(batch, crowded) == [0, 0]


def split_of(frequency, n_cells):
    rng = np.random.default_rng(0)
    perturbation = rng.choice(len(frequency), p=frequency, size=n_cells)
    context = builders.make_context(rng, builders.SIZES)
    cells = np.bincount(perturbation, minlength=len(frequency)).astype(np.float32)
    batch = builders.make_batch(rng, builders.SIZES, n_cells)
    return Split(batch, context._replace(treatment_cells=cells)), perturbation


@settings(max_examples=20)
@given(n_perturbed=st.integers(30, 400), batch_size=st.integers(1, 300), spread=st.floats(0, 2))
def test_batches_seldom_meet_more_rows(n_perturbed, batch_size, spread):
    frequency = np.exp(np.random.default_rng(1).normal(0, spread, n_perturbed))
    split, perturbation = split_of(frequency / frequency.sum(), 2000)
    n_rows = present.rows_of_batches(split, batch_size, n_perturbed)
    rng = np.random.default_rng(2)
    met = [len(np.unique(rng.permutation(perturbation)[:batch_size])) for _ in range(50)]
    step = 8 if FOR_A_CPU else 16
    most = np.mean(met) + 0.75 * np.sqrt(n_perturbed) + step
    if n_rows is None:
        assert most > 0.9 * n_perturbed
    else:
        assert np.mean(np.array(met) > n_rows) <= 0.1
        assert n_rows <= most


@pytest.mark.parametrize("batch_size", [10, 40, 500, 1900, 2000])
@pytest.mark.parametrize("spread", [0, 1.5])
def test_mean_and_deviation_of_rows_are_those_of_drawn_batches(batch_size, spread):
    frequency = np.exp(np.random.default_rng(1).normal(0, spread, 300))
    split, perturbation = split_of(frequency / frequency.sum(), 2000)
    cells = np.asarray(split.context.treatment_cells)[:300]
    mean, deviation = present.rows_met(cells, len(perturbation), batch_size)
    rng = np.random.default_rng(2)
    met = [len(np.unique(rng.permutation(perturbation)[:batch_size])) for _ in range(1000)]
    assert abs(mean - np.mean(met)) <= 4 * np.std(met) / np.sqrt(1000) + 1e-6
    assert abs(deviation - np.std(met)) <= 0.1 * (np.std(met) + 1)


def test_few_perturbations_are_all_worked_on(for_a_cpu):
    split, _ = split_of(np.full(68, 1 / 68), 2000)
    assert present.rows_of_batches(split, 512, 68) is None
    assert present.rows_of_batches(split, 10_000, 68) is None


@pytest.mark.parametrize("n_batches", [1, 20, 200])
@pytest.mark.parametrize(("mean", "deviation"), [(264.0, 6.5), (300.0, 20.0), (15.9, 0.1)])
def test_on_a_gpu_the_number_of_rows_is_that_of_the_least_work(mean, deviation, n_batches):
    """Compared with batches drawn from a normal distribution, over all numbers of rows."""
    n_rows = present._of_least_work(mean, deviation, 383, n_batches)
    assert n_rows % 16 == 0 and n_rows <= 384
    met = np.round(np.random.default_rng(0).normal(mean, deviation, (4000, n_batches))).max(1)

    def work(number):
        return np.where(met <= number, number, 384).mean()

    assert work(n_rows) <= min(map(work, range(16, 385, 16))) + 1.5


def test_on_a_gpu_all_rows_are_taken_where_batches_meet_them_all():
    assert present._of_least_work(67.9, 0.3, 68, 50) == 80
    assert present._of_least_work(380.0, 2.0, 383, 50) == 384
