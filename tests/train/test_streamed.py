"""Epochs whose cells come from host memory or disk equal the epoch in one program."""

import dataclasses
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax import data, objective, presets
from gpo_vae_jax.config import DataConfig, PrepareConfig, SimulateConfig
from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import cell_loader, device_room, init_state, run_epoch
from gpo_vae_jax.train.cell_loader import in_advance, read_cells, requests
from gpo_vae_jax.train.cells_in import device_memory, fields_left_out, source_of
from gpo_vae_jax.train.fields_read import left_out
from gpo_vae_jax.train.program import _compiled
from gpo_vae_jax.train.streamed import EpochData, Stream, run_streamed_epoch
from gpo_vae_jax.train.training import train
from tests.train.conftest import TINY

ACCURATE = dataclasses.replace(TINY.objective, beta=0.0, gloss_coeff=0.0)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Return a prepared file of 300 cells."""
    raw = data.simulate(SimulateConfig(n_cells=300, n_genes=30, n_perturbed=4, n_extended=2))
    path = tmp_path_factory.mktemp("prepared") / "cells.h5ad"
    data.write(data.prepare(raw, PrepareConfig()), path)
    return path


@pytest.fixture(scope="module")
def on_disk(prepared):
    return data.load(prepared, DataConfig(cells_in="disk"))


@pytest.fixture(scope="module")
def in_memory(prepared):
    return data.load(prepared, DataConfig(cells_in="host"))


def changed(config, **settings):
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **settings))


def source(dataset, settings):
    streamed = device_memory(dataset, settings).streamed
    return source_of(dataset, streamed, fields_left_out(dataset, settings))


def assert_equal(found, expected):
    """Compare up to the rounding by which two programs of the same operations may differ."""
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("objective_", [TINY.objective, ACCURATE], ids=["published", "accurate"])
def test_two_epochs_equal_those_in_one_program(monkeypatch, config, in_memory, on_disk, objective_):
    """Also with a schedule, which spans the run, and a request that is shorter than the others."""
    monkeypatch.setattr(cell_loader, "MOST_STEPS", 4)  # of 7
    settings = config(batch_size=30, schedule="warmup_cosine", warmup=0.3, max_epochs=3)
    settings = dataclasses.replace(settings, objective=objective_)
    spec = Spec.of(settings, in_memory.sizes)
    expected = found = init_state(5, spec=spec)
    device = source(in_memory, changed(settings, cells_in="device"))
    stream = source(on_disk, settings)
    assert isinstance(device, EpochData) and isinstance(stream, Stream)
    assert stream.left_out == (("counterfactual", "delta") if objective_ is ACCURATE else ())
    for _ in range(2):
        expected, theirs = run_epoch(expected, *device, spec=spec)
        found, ours = run_streamed_epoch(found, stream, spec=spec)
        assert_equal(found, expected)
        assert ours.steps["loss"].shape == (7,)
        assert_equal((ours.steps, ours.validation), (theirs.steps, theirs.validation))
        assert_equal(ours.network, theirs.network)
    assert int(found.epoch) == 2 and int(found.step) == 14


def test_programs_are_compiled_once(monkeypatch, config, on_disk):
    monkeypatch.setattr(cell_loader, "MOST_STEPS", 4)
    settings = config(batch_size=30, learning_rate=0.011)
    spec = Spec.of(settings, on_disk.sizes)
    state = init_state(0, spec=spec)
    stream = source(on_disk, settings)
    before = _compiled.cache_info().misses
    state, _ = run_streamed_epoch(state, stream, spec=spec)
    after = _compiled.cache_info().misses
    assert after - before == 4  # steps of full and of shorter requests, validation, the end
    run_streamed_epoch(state, stream, spec=spec)
    assert _compiled.cache_info().misses == after


@pytest.mark.parametrize("where", ["host", "disk"])
def test_a_training_is_that_on_the_device(config, in_memory, on_disk, where):
    settings = config(max_epochs=3)
    expected = train(in_memory, changed(settings, cells_in="device"), seeds=(1, 2))
    dataset = on_disk if where == "disk" else in_memory
    found = train(dataset, changed(settings, cells_in=where), seeds=(1, 2))
    for ours, theirs in zip(found.members, expected.members, strict=True):
        assert_equal(ours.params, theirs.params)
        assert ours.best_epoch == theirs.best_epoch
        np.testing.assert_allclose(ours.history["val_loss"], theirs.history["val_loss"], rtol=1e-6)
    assert found.description["data"] == expected.description["data"]


def test_members_at_once_need_the_device(config, on_disk):
    with pytest.raises(ConfigError, match=r"together=True.*cells_in='device'"):
        train(on_disk, config(), seeds=(0, 1), together=True)


def test_starting_effects_are_those_in_memory(in_memory, on_disk):
    from gpo_vae_jax.train.starting_effects import starting_effects

    np.testing.assert_array_equal(starting_effects(on_disk), starting_effects(in_memory))


def test_the_loss_decides_what_is_read(config, dataset, on_disk):
    def unread(settings):
        spec = Spec.of(dataclasses.replace(config(), objective=settings), dataset.sizes)
        params = init_state(0, spec=spec).current.params
        return left_out(params, dataset.splits["train"], spec=spec)

    assert unread(TINY.objective) == ()
    assert unread(dataclasses.replace(TINY.objective, beta=0.0)) == ("counterfactual",)
    assert unread(dataclasses.replace(TINY.objective, gloss_coeff=0.0)) == ("delta",)
    assert unread(ACCURATE) == ("counterfactual", "delta")
    assert presets.anndata().objective.beta == presets.anndata().objective.gloss_coeff == 0
    objective.TERMS["mean_delta"] = lambda given: given.batch.delta.mean()
    try:
        assert unread(ACCURATE) == ("counterfactual",)
    finally:
        del objective.TERMS["mean_delta"]


def test_fields_that_are_not_looked_at_stay_off_the_device(config, in_memory):
    settings = dataclasses.replace(config(), objective=ACCURATE)
    cells = source(in_memory, settings).train.cells
    n, genes = in_memory.splits["train"].cells.counts.shape
    assert cells.counts.shape == (n, genes)
    assert cells.counterfactual.shape == cells.delta.shape == (n, 0)


@pytest.mark.parametrize(
    ("n_batches", "most", "sizes"),
    [(12, 5, [4, 4, 4]), (7, 4, [4, 3]), (3, 16, [3]), (11, 4, [4, 4, 3]), (1, 1, [1])],
)
def test_requests_have_one_size_where_they_can(monkeypatch, n_batches, most, sizes):
    monkeypatch.setattr(cell_loader, "MOST_STEPS", most)
    rows = np.arange(n_batches * 3).reshape(n_batches, 3)
    found = requests(rows, rows < n_batches * 3 - 1, 10)
    assert [len(request.rows) for request in found] == sizes
    assert [request.first for request in found] == np.cumsum([0, *sizes[:-1]]).tolist()
    np.testing.assert_array_equal(np.concatenate([request.rows for request in found]), rows)


def test_requests_are_of_bounded_size(monkeypatch):
    monkeypatch.setattr(cell_loader, "REQUEST_BYTES", 100)
    rows = np.zeros((6, 4), int)
    assert [len(r.rows) for r in requests(rows, rows == 0, 9)] == [2, 2, 2]
    assert [len(r.rows) for r in requests(rows, rows == 0, 1000)] == [1] * 6


def test_a_host_reads_its_part_of_each_batch(config, on_disk):
    settings = config(batch_size=20)
    spec = Spec.of(settings, on_disk.sizes)
    state = init_state(0, spec=spec)
    placed = {}
    for part in (slice(0, 10), slice(10, 20), slice(0, 20)):
        seen = placed[part.start, part.stop] = []

        def keep(batches, seen=seen):
            seen.append(batches)
            raise KeyboardInterrupt  # the first request is enough

        stream = source(on_disk, settings)
        with pytest.raises(KeyboardInterrupt):
            run_streamed_epoch(state, stream._replace(part=part, place=keep), spec=spec)
    ((first,), (second,), (whole,)) = placed.values()
    for ours, theirs, both in zip(first, second, whole, strict=True):
        if both is not None:
            np.testing.assert_array_equal(np.concatenate([ours, theirs], axis=1), both)


def test_reads_come_in_order_and_in_advance():
    started, go = [], threading.Event()

    def read(item):
        started.append(item)
        if item:
            go.wait(10)
        return item * 10

    arriving = in_advance(read, range(5), ahead=2)
    assert next(arriving) == 0
    for _ in range(100):
        if len(started) == 3:
            break
        time.sleep(0.01)
    assert started == [0, 1, 2]  # two are read while one is used
    go.set()
    assert list(arriving) == [10, 20, 30, 40]


def test_leaving_early_ends_the_threads_and_errors_come_in_turn():
    def read(item):
        if item == 2:
            raise DataError("cell 2 is broken")
        return item

    arriving = in_advance(read, range(100), ahead=2)
    assert next(arriving) == 0
    arriving.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("cells")]
    arriving = in_advance(read, range(100), ahead=2)
    assert [next(arriving), next(arriving)] == [0, 1]
    with pytest.raises(DataError, match="cell 2"):
        next(arriving)
    assert not [t for t in threading.enumerate() if t.name.startswith("cells")]


def test_read_cells_gathers_batches(dataset):
    cells = dataset.splits["train"].cells
    rows = np.array([[3, 1], [0, 5], [2, 2]])
    found = read_cells(cells, rows, ("delta",))
    np.testing.assert_array_equal(found.counts, cells.counts[rows])
    np.testing.assert_array_equal(found.library_size, cells.library_size[rows])
    assert found.counts.shape == (3, 2, cells.counts.shape[1])
    assert found.delta.shape == (3, 2, 0) and found.covariates is None


def test_cells_stay_off_a_device_that_is_too_small(monkeypatch, config, in_memory):
    auto = config()
    memory = device_memory(in_memory, auto)
    both = [in_memory.splits[name].cells for name in ("train", "val")]
    expected = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(both))
    assert memory.cells == expected and not memory.streamed
    assert "they are kept there" in memory.sentence
    taken = memory.cells + memory.state
    for available, streamed in ((taken / 0.5, False), (taken / 0.7, True)):
        monkeypatch.setattr(device_room, "available_bytes", lambda found=available: found)
        assert device_memory(in_memory, auto).streamed == streamed
    assert "read from host memory" in device_memory(in_memory, auto).sentence
    assert not device_memory(in_memory, changed(auto, cells_in="device")).streamed


def test_settings_that_do_not_fit_the_cells_are_refused(config, in_memory, on_disk):
    with pytest.raises(ConfigError, match=r"cells_in='disk' needs a prepared file"):
        device_memory(in_memory, changed(config(), cells_in="disk"))
    for where in ("device", "host"):
        with pytest.raises(ConfigError, match=rf"cells_in='{where}'.*are on disk"):
            device_memory(on_disk, changed(config(), cells_in=where))
    assert "read from disk" in device_memory(on_disk, config()).sentence


def test_tables_are_on_the_device(config, on_disk):
    stream = source(on_disk, config())
    assert {name: table.dtype for name, table in stream.tables.items()} == {
        "train": jnp.float32,
        "test": jnp.float32,
    }
