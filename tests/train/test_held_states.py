"""Each epoch takes the memory of the state before it, and nobody reads that afterwards."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.config import DataConfig
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import group, init_state, training
from gpo_vae_jax.train.cells_in import source_of
from gpo_vae_jax.train.group import DivergedError
from gpo_vae_jax.train.held_states import HeldStates, StateGoneError
from gpo_vae_jax.train.training import starting_states, train


class Deleting(group.Program):
    """A program after whose epochs every array of the state that it was given is deleted.

    On a CPU an array that the host looks at survives that an epoch takes it.
    """

    def __call__(self, state, members, active):
        after = jax.block_until_ready(super().__call__(state, members, active))
        for leaf in jax.tree.leaves(state):
            if not leaf.is_deleted():
                leaf.delete()
        return after

    def fetch(self, tree):
        return jax.tree.map(np.array, super().fetch(tree))  # copies, as from another device


@pytest.fixture(scope="module")
def settings(config):
    """Return settings that all tests share, so that they share compiled programs."""
    return config(max_epochs=5, patience=9)


def on_its_own(spec, seed=0):
    """Return a state on the device in memory of its own."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), init_state(seed, spec=spec))


@pytest.mark.parametrize("streamed", [False, True])
def test_an_epoch_takes_all_of_the_state_before_it(dataset, settings, streamed):
    spec = Spec.of(settings, dataset.sizes)
    program = group.Program([settings], source_of(dataset, streamed), spec, None, None)
    state = on_its_own(spec)
    for _ in range(2):
        before = jax.tree.leaves(state)
        state, _ = program(state, [0], np.ones(1, bool))
        left = [leaf.shape for leaf in before if not leaf.is_deleted()]
        assert not left, f"{len(left)} of {len(before)} arrays"
    assert int(state.epoch) == 2


@pytest.mark.parametrize("how", ["single", "streamed", "together"])
def test_a_training_reads_no_state_that_was_taken(dataset, settings, monkeypatch, how):
    """Also where states are fetched at some epochs."""
    if how == "streamed":
        settings = dataclasses.replace(settings, data=DataConfig(cells_in="host"))
    options = {"seeds": (3, 4) if how == "together" else 3, "together": how == "together"}
    expected, states = {}, {}

    def at_every(end):
        expected[end.seed, end.row["epoch"]] = end.state

    def at_some(end):
        if end.row["epoch"] in (1, 2):
            states[end.seed, end.row["epoch"]] = end.state

    train(dataset, settings, on_epoch=at_every, **options)
    monkeypatch.setattr(training, "Program", Deleting)
    found = train(dataset, settings, on_epoch=at_some, **options)
    assert len(states) == 2 * len(found.members)
    for place, state in states.items():
        chex.assert_trees_all_equal(state, expected[place])
    for member in found.members:
        chex.assert_trees_all_equal(member.params, expected[member.seed, 4].best_params)


def test_a_state_is_there_until_the_next_epoch_begins(dataset, settings):
    ends = []
    train(dataset, settings, on_epoch=ends.append)
    with pytest.raises(StateGoneError, match="while on_epoch is called"):
        _ = ends[1].state
    assert int(ends[4].state.epoch) == 5


@pytest.mark.parametrize("fetched", [(), (1,)], ids=["from the start", "from the last fetched"])
@pytest.mark.parametrize("together", [False, True])
def test_the_state_before_an_epoch_that_diverged_is_there(
    monkeypatch, dataset, settings, fetched, together
):
    """The loss of the second member's fourth epoch is said not to be finite."""
    seeds, good = (3, 4), {}

    def keep(end):
        good[end.seed, end.row["epoch"]] = end.state

    train(dataset, settings, seeds=seeds, together=together, on_epoch=keep)
    ends, looked = {}, []

    def bad(report):
        looked.append(report)
        wrong = len(looked) == (8 if together else 9)
        return "grn is not finite" if wrong else None

    def listen(end):
        ends[end.seed] = end
        if end.row["epoch"] in fetched:
            _ = end.state

    monkeypatch.setattr(training, "Program", Deleting)
    monkeypatch.setattr(group, "first_not_finite", bad)
    with pytest.raises(DivergedError, match="seed 4, epoch 3, grn") as error:
        train(dataset, settings, seeds=seeds, together=together, on_epoch=listen)
    assert error.value.member == 1
    assert ends[4].row["epoch"] == 2
    chex.assert_trees_all_equal(ends[4].state, good[4, 2])
    if together:  # nobody was told of the epoch, so all members are where they were
        assert ends[3].row["epoch"] == 2
        chex.assert_trees_all_equal(ends[3].state, good[3, 2])


def test_no_epoch_follows_one_that_failed(dataset, config):
    class Failing:
        def put(self, states):
            return states[0]

        def fetch(self, tree):
            return jax.device_get(tree)

        def __call__(self, state, members, active):
            raise OSError("a disk is gone")

    held = HeldStates(Failing(), [0], starting_states(dataset, [config()]))
    fetch = held.fetcher(0)
    for error in (OSError, StateGoneError):
        with pytest.raises(error):
            held.advance(np.ones(1, bool))
    with pytest.raises(StateGoneError):
        fetch()


def test_states_start_in_host_memory(dataset, config):
    """On the device they would be beside those that are trained, for the whole training."""
    (state,) = starting_states(dataset, [config()])
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(state))
