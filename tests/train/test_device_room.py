"""What a training takes of a device: said beforehand, and refused where it does not fit."""

import dataclasses

import jax
import pytest

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import cells_in, device_room, init_state, member_placement, run_epoch
from gpo_vae_jax.train.cells_in import device_memory
from gpo_vae_jax.train.device_room import beside_arguments, check_room, free_bytes, step_bytes
from gpo_vae_jax.train.member_placement import placement
from gpo_vae_jax.train.members import members_of
from gpo_vae_jax.train.program import compiled
from gpo_vae_jax.train.training import train
from tests.train.test_epoch import on_device

USED = 1000


def has_left(monkeypatch, left):
    """Let the device count its memory, and have so much left."""
    stats = {"bytes_limit": left + USED, "bytes_in_use": USED}
    monkeypatch.setattr(device_room, "device_stats", lambda: stats)


def like_a_gpu(monkeypatch):
    for module in (cells_in, member_placement):
        monkeypatch.setattr(module, "on_cpu", lambda: False)


@pytest.fixture(scope="module")
def program(dataset, config):
    spec = Spec.of(config(), dataset.sizes)
    arguments = (init_state(0, spec=spec), *on_device(dataset))
    return compiled(run_epoch, arguments, spec=spec, n_rows=None)


def test_free_memory_is_the_device_s_or_the_host_s(monkeypatch):
    monkeypatch.setattr(device_room, "available_bytes", lambda: 5.0)
    assert free_bytes() == 5.0, "a CPU counts nothing"
    has_left(monkeypatch, 300)
    assert free_bytes() == 300


def test_a_program_that_does_not_fit_is_refused(monkeypatch, program):
    needed = beside_arguments(program)
    if not needed:  # an early jax says nothing of a CPU
        needed = 1000
        monkeypatch.setattr(device_room, "beside_arguments", lambda program: needed)
    assert needed > 0
    check_room(program)  # a CPU counts nothing
    has_left(monkeypatch, needed)
    check_room(program)
    has_left(monkeypatch, needed - 1)
    with pytest.raises(ConfigError, match=r"an epoch needs .* cpu 0 .*cells_in='host'.*batch_size"):
        check_room(program)


def test_a_program_that_says_nothing_of_its_memory_is_tried(monkeypatch):
    has_left(monkeypatch, 0)
    for error in (AttributeError, NotImplementedError, RuntimeError):

        class Silent:
            def memory_analysis(self, error=error):
                raise error

        assert beside_arguments(Silent()) is None
        check_room(Silent())


def test_a_training_ends_before_its_first_epoch(monkeypatch, dataset, config):
    """With settings that no other test compiles for."""
    settings = config(learning_rate=0.0123, max_epochs=1)
    settings = dataclasses.replace(
        settings, data=dataclasses.replace(settings.data, cells_in="device")
    )
    has_left(monkeypatch, 1)
    monkeypatch.setattr(device_room, "beside_arguments", lambda program: 2)
    ends = []
    with pytest.raises(ConfigError, match="an epoch needs"):
        train(dataset, settings, on_epoch=ends.append)
    assert not ends


def test_the_estimate_counts_members_and_says_what_does_not_fit(monkeypatch, dataset, config):
    one = device_memory(dataset, config())
    assert one.needed == one.cells + one.state + one.step and one.fits
    three = one._replace(members=3)
    assert three.needed == one.cells + 3 * (2 * one.state + one.step), "those before an epoch, too"
    assert "for the states of 3 members at once" in three.sentence
    assert "may not fit" not in three.sentence
    short = three._replace(available=three.needed - 1)
    assert not short.fits
    assert "may not fit: set data.cells_in='host' or 'disk', train fewer seeds" in short.sentence
    assert three._replace(available=three.needed).fits


def test_a_state_is_on_a_gpu_once(for_a_cpu, monkeypatch, dataset, config):
    twice = device_memory(dataset, config()).state
    spec = Spec.of(config(), dataset.sizes)
    like_a_gpu(monkeypatch)
    once = device_memory(dataset, config()).state
    assert once == sum(leaf.nbytes for leaf in jax.tree.leaves(init_state(0, spec=spec)))
    assert twice == 2 * once


def test_members_that_do_not_fit_at_once_are_trained_one_after_the_other(
    for_a_cpu, monkeypatch, dataset, config
):
    members = members_of(config(), (1, 2, 3))
    assert not placement(dataset, members).together, "on a CPU"
    like_a_gpu(monkeypatch)
    memory = device_memory(dataset, config())
    all_of_them = memory._replace(members=3).needed
    has_left(monkeypatch, all_of_them)
    found = placement(dataset, members)
    assert found.together and found.largest.members == 3
    has_left(monkeypatch, all_of_them - 1)
    found = placement(dataset, members)
    assert not found.together and found.largest.members == 1
    assert placement(dataset, members, together=True).together, "who asks for it is told"


def test_the_bound_of_a_step_holds_for_wide_layers_of_genes(dataset, config):
    """For the published shapes it was compared with epochs that were compiled for a GPU."""
    published = dataclasses.replace(dataset.sizes, n_genes=8749, n_treatments=655, n_perturbed=383)
    spec = Spec.of(config(batch_size=512, n_particles=5), published)
    assert 0.324 < step_bytes(spec, int(0.033 * 2**30), 512) / 2**30 < 0.5
    more = dataclasses.replace(published, n_genes=2 * 8749)
    assert step_bytes(Spec.of(config(n_particles=5), more), 0, 512) > 1.5 * 0.324 * 2**30
