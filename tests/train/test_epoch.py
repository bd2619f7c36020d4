"""An epoch: what it visits, what it compiles, and that lanes of a vmap are single runs."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gpo_vae_jax.model import sample_noise
from gpo_vae_jax.objective import loss
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import epoch as epochs
from gpo_vae_jax.train import init_state, run_epoch
from gpo_vae_jax.train.state import VALIDATION, stream


def on_device(dataset):
    splits = jax.device_put((dataset.splits["train"], dataset.splits["val"]))
    return (*splits, {name: jnp.asarray(table) for name, table in dataset.tables.items()})


@settings(max_examples=20)
@given(n_cells=st.integers(1, 300), batch_size=st.integers(1, 80))
def test_batches_hold_every_cell_exactly_once(n_cells, batch_size):
    order = np.random.default_rng(0).permutation(n_cells)
    index, filled = epochs._batches(jnp.asarray(order), batch_size)
    assert index.shape == filled.shape
    assert index.shape[0] == epochs.n_batches(n_cells, batch_size)
    assert sorted(np.asarray(index)[np.asarray(filled)]) == list(range(n_cells))


def test_all_epochs_are_one_compilation_without_host_transfers(dataset, config):
    spec = Spec.of(config(seed=1), dataset.sizes)
    args = on_device(dataset)
    state = init_state(1, spec=spec)
    chex.clear_trace_counter()
    counted = jax.jit(chex.assert_max_traces(run_epoch.__wrapped__, n=1), static_argnames="spec")
    state, _ = counted(state, *args, spec=spec)
    with jax.transfer_guard("disallow"):
        for _ in range(3):
            state, report = counted(state, *args, spec=spec)
    assert int(state.epoch) == 4
    n_cells = len(dataset.splits["train"].cells.weight)
    assert report.steps["loss"].shape == (epochs.n_batches(n_cells, 32),)
    assert int(state.step) == 4 * epochs.n_batches(n_cells, 32)


def test_lanes_of_a_vmap_over_seeds_are_single_runs(dataset, config):
    spec = Spec.of(config(), dataset.sizes)
    args = on_device(dataset)
    seeds = jnp.arange(3, dtype=jnp.uint32)
    states = jax.vmap(partial(init_state, spec=spec))(seeds)

    def train(state):
        return run_epoch(state, *args, spec=spec)

    together, reports = jax.vmap(train)(states)
    for seed in (0, 2):
        alone, report = train(init_state(seed, spec=spec))
        lane = jax.tree.map(lambda leaf, seed=seed: leaf[seed], together.current.params)
        chex.assert_trees_all_close(lane, alone.current.params, rtol=2e-4, atol=2e-5)
        np.testing.assert_allclose(reports.steps["loss"][seed], report.steps["loss"], rtol=1e-4)
    assert len(set(np.asarray(reports.validation["loss"]).tolist())) == 3, "seeds must differ"


def test_validation_weighs_batches_by_their_size(dataset, config):
    """The padded scan equals a loop over batches of their true size."""
    spec = Spec.of(config(batch_size=13), dataset.sizes)
    state = init_state(0, spec=spec)
    split, params = dataset.splits["val"], state.current.params
    key = stream(state.seed, VALIDATION, state.epoch)
    scanned = epochs.validate(params, split, key, spec=spec)
    n_cells = len(split.cells.weight)
    assert n_cells % 13, "the last batch must be partial for this test to mean anything"
    total = 0.0
    for number, start in enumerate(range(0, n_cells, 13)):
        batch = jax.tree.map(lambda a, at=start: jnp.asarray(a[at : at + 13]), split.cells)
        size = len(batch.weight)
        noise = sample_noise(jax.random.fold_in(key, number), spec, n_particles=2, n_cells=13)
        noise = noise._replace(basal=noise.basal[:, :size])
        value, _ = loss(params, split.context, batch, noise, spec=spec)
        total += float(value) * size
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
