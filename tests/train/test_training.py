"""A whole training in memory: seeds, early stopping, what `on_epoch` sees, and its errors."""

import chex
import jax
import numpy as np
import pytest

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.train.group import DivergedError
from gpo_vae_jax.train.training import initial_states, train

SEEDS = (0, 1, 7)  # always as many, so that all tests share two compiled programs


def apart(ours, theirs) -> float:
    """Return the largest distance between two leaves, relative to the leaf's norm."""
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    return max(float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-12)) for a, b in pairs)


def numbers(history):
    return history.drop(columns="seconds").to_numpy(float)


@pytest.fixture(scope="module")
def settings(config):
    """Return settings under which 17 epochs are 51 steps."""
    return config(max_epochs=17, patience=100)


@pytest.fixture(scope="module")
def alone(dataset, settings):
    """Return the run of every seed, each trained by itself."""
    return [train(dataset, settings, seeds=seed).best for seed in SEEDS]


@pytest.mark.parametrize("together", [False, True], ids=["one after the other", "vmapped"])
def test_seeds_in_one_call_are_single_runs(dataset, settings, alone, together):
    found = train(dataset, settings, seeds=SEEDS, together=together)
    assert tuple(member.seed for member in found.members) == SEEDS
    for ours, theirs in zip(found.members, alone, strict=True):
        assert int(ours.history["step"].iloc[-1]) >= 50
        assert apart(ours.params, theirs.params) < (1e-5 if together else 1e-12)
        assert ours.best_epoch == theirs.best_epoch
        np.testing.assert_allclose(numbers(ours.history), numbers(theirs.history), rtol=1e-4)
    assert apart(*(member.params for member in found.members[:2])) > 1e-2, "seeds must differ"


def test_a_member_that_has_stopped_is_frozen_while_others_go_on(dataset, config):
    settings = config(max_epochs=60, patience=2)
    single = [train(dataset, settings, seeds=seed).best for seed in SEEDS]
    assert len({member.n_epochs for member in single}) > 1, "seeds must stop at different epochs"
    found = train(dataset, settings, seeds=SEEDS, together=True)
    for ours, theirs in zip(found.members, single, strict=True):
        assert ours.n_epochs == theirs.n_epochs == len(ours.history)
        assert ours.best_epoch == theirs.best_epoch
        assert apart(ours.params, theirs.params) < 1e-3
    assert found.best.best_loss == min(member.best_loss for member in found.members)
    assert not found.interrupted


def test_on_epoch_sees_every_epoch_and_can_stop(dataset, config):
    ends = []

    def listen(end):
        ends.append(end)
        return end.seed == 5 and end.row["epoch"] == 1

    found = train(dataset, config(max_epochs=3), seeds=(4, 5, 6), on_epoch=listen, together=False)
    assert [(end.member, end.row["epoch"]) for end in ends] == [
        *((0, epoch) for epoch in range(3)),
        *((1, epoch) for epoch in range(2)),
    ]
    assert [end.finished for end in ends] == [False, False, True, False, False]
    assert [member.n_epochs for member in found.members] == [3, 2, 0]
    assert [member.interrupted for member in found.members] == [False, True, True]
    assert found.best.seed in (4, 5), "a member without an epoch is not the best"
    chex.assert_trees_all_equal(ends[-1].state.best_params, found.members[1].params)


def test_continuing_from_a_state_is_the_uninterrupted_run(dataset, config):
    whole = train(dataset, config(max_epochs=4)).best
    states = []
    train(dataset, config(max_epochs=2), on_epoch=lambda end: states.append(end.state))
    rest = train(dataset, config(max_epochs=4), states=states[-1:]).best
    chex.assert_trees_all_equal(rest.params, whole.params)
    np.testing.assert_array_equal(numbers(rest.history), numbers(whole.history)[2:])


def test_a_run_that_diverges_says_where(dataset, config):
    (state,) = initial_states(dataset, config(), [1])
    broken = jax.tree.map(lambda leaf: leaf * np.nan, state.current.params)
    state = state._replace(current=state.current._replace(params=broken))
    with pytest.raises(DivergedError, match=r"seed 1, epoch 0, step 0 of the epoch: .*finite"):
        train(dataset, config(), seeds=1, states=[state])


@pytest.mark.parametrize(
    ("seeds", "says"),
    [
        ((), "seeds is empty"),
        ((1, 1), "1 is named twice"),
        ((-1,), "-1 must be between"),
        ((0.5,), "not a whole number"),
        ((True,), "not a whole number"),
    ],
)
def test_seeds_that_cannot_be_are_refused(dataset, config, seeds, says):
    with pytest.raises(ConfigError, match=says):
        train(dataset, config(), seeds=seeds)
