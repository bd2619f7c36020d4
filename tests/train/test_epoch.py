"""An epoch: what it visits, what it compiles, and what it keeps."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.model import sample_noise
from gpo_vae_jax.objective import loss
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import batches, init_state, run_epoch, steps
from gpo_vae_jax.train.epoch import run_steps
from gpo_vae_jax.train.state import NOISE, VALIDATION, stream
from gpo_vae_jax.train.step import apply_gradients, gradients_of


def on_device(dataset):
    splits = jax.device_put((dataset.splits["train"], dataset.splits["val"]))
    return (*splits, {name: jnp.asarray(table) for name, table in dataset.tables.items()})


@pytest.mark.parametrize(
    ("n_cells", "batch_size"), [(1, 1), (1, 80), (7, 3), (12, 4), (13, 12), (300, 77)]
)
def test_batches_hold_every_cell_exactly_once(n_cells, batch_size):
    order = np.random.default_rng(0).permutation(n_cells)
    index, filled = batches._batches(jnp.asarray(order), batch_size)
    assert index.shape == filled.shape
    assert index.shape[0] == batches.n_batches(n_cells, batch_size)
    assert sorted(np.asarray(index)[np.asarray(filled)]) == list(range(n_cells))


def test_all_epochs_are_one_compilation_without_host_transfers(dataset, config):
    spec = Spec.of(config(seed=1), dataset.sizes)
    args = on_device(dataset)
    state, _ = run_epoch(init_state(1, spec=spec), *args, spec=spec)
    compiled = run_epoch._cache_size()
    with jax.transfer_guard("disallow"):
        for _ in range(3):
            state, report = run_epoch(state, *args, spec=spec)
    assert run_epoch._cache_size() == compiled
    assert int(state.epoch) == 4
    n_cells = len(dataset.splits["train"].cells.weight)
    assert report.steps["loss"].shape == (batches.n_batches(n_cells, 32),)
    assert int(state.step) == 4 * batches.n_batches(n_cells, 32)
    assert report.validation.keys() == report.steps.keys() - {"gradient_norm"}


def test_validation_weighs_batches_by_their_size(dataset, config):
    """The padded scan equals a loop over batches of their true size."""
    spec = Spec.of(config(batch_size=13), dataset.sizes)
    split = dataset.splits["val"]
    state = init_state(0, spec=spec)
    params, key = state.current.params, stream(state.seed, VALIDATION, state.epoch)
    scanned = jax.jit(steps.validate, static_argnames="spec")(params, split, key, spec=spec)
    n_cells = len(split.cells.weight)
    assert n_cells % 13, "the last batch must be partial for this test to mean anything"

    @jax.jit
    def of_batch(batch, number):
        key_of_batch = jax.random.fold_in(key, number)
        noise = sample_noise(key_of_batch, spec, n_particles=2, n_cells=13)
        noise = noise._replace(basal=noise.basal[:, : len(batch.weight)])
        return loss(params, split.context, batch, noise, spec=spec)[0]

    total = 0.0
    for number, start in enumerate(range(0, n_cells, 13)):
        batch = jax.tree.map(lambda a, at=start: jnp.asarray(a[at : at + 13]), split.cells)
        total += float(of_batch(batch, number)) * len(batch.weight)
    np.testing.assert_allclose(float(scanned["loss"]), total / n_cells, rtol=1e-5)


def test_only_a_better_validation_loss_replaces_the_best(dataset, config):
    spec = Spec.of(config(), dataset.sizes)
    args = on_device(dataset)
    start = init_state(0, spec=spec)
    better, report = run_epoch(start, *args, spec=spec)
    assert float(better.best_loss) == float(report.validation["loss"])
    assert int(better.best_epoch) == 0
    chex.assert_trees_all_equal(better.best_params, better.current.params)
    unbeatable = start._replace(best_loss=jnp.float32(-1e9), best_epoch=jnp.int32(-1))
    kept, _ = run_epoch(unbeatable, *args, spec=spec)
    assert float(kept.best_loss) == -1e9
    assert int(kept.best_epoch) == -1
    chex.assert_trees_all_equal(kept.best_params, start.best_params)
    chex.assert_trees_all_equal(kept.current.params, better.current.params)


def test_the_schedule_spans_the_steps_of_the_whole_run(dataset, config):
    """An epoch takes the steps that a loop takes when it is told how far the run is."""
    settings = config(
        schedule="warmup_cosine", warmup=0.3, final_rate=0.0, max_epochs=2, batch_size=20
    )
    spec = Spec.of(settings, dataset.sizes)
    split, state = dataset.splits["train"], init_state(0, spec=spec)
    rows = jnp.arange(80).reshape(4, 20)
    filled = jnp.ones(rows.shape, bool)
    found, _ = jax.jit(run_steps, static_argnames="spec")(
        state.current, split, rows, filled, state.seed, jnp.int32(4), spec=spec
    )
    expected = state.current
    for i in range(4):
        batch = jax.tree.map(lambda column, at=rows[i]: jnp.asarray(column)[at], split.cells)
        noise = sample_noise(
            stream(state.seed, NOISE, jnp.int32(4 + i)), spec, n_particles=2, n_cells=20
        )
        gradients, parts = gradients_of(expected.params, split.context, batch, noise, spec=spec)
        expected, _ = apply_gradients(expected, gradients, parts, (4 + i) / 8, spec=spec)
    for ours, theirs in zip(
        jax.tree.leaves(found.params), jax.tree.leaves(expected.params), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)
