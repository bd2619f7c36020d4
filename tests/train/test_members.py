"""Members that differ in numbers: which share a program, and that each is its single run."""

import dataclasses

import chex
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpo_vae_jax.config import Config
from gpo_vae_jax.config_io import with_settings
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.spec import VARIED
from gpo_vae_jax.train.members import check_members, members_of, programs_of, varied_values
from gpo_vae_jax.train.program import _compiled
from gpo_vae_jax.train.training import train, train_members
from tests.train.conftest import TINY
from tests.train.test_training import apart

VALUES = {  # of every setting that may be an argument of the program
    "model.mask_prior": 0.2,
    "model.embedding_prior_scale": 0.7,
    "objective.beta": 0.3,
    "objective.gloss_coeff": 50.0,
    "objective.fc_criteria": 0.3,
    "objective.penalty_coeff": 5.0,
    "objective.invariance_coeff": 4.0,
    "train.learning_rate": 5e-3,
    "train.mask_rate": 3.0,
    "train.weight_decay": 1e-2,
    "train.gradient_clip_norm": 1.0,
}


@pytest.fixture(scope="module")
def base(config):
    """Return settings in which every term is in use; 17 epochs are 51 steps."""
    return with_settings(config(max_epochs=17, patience=100), {"objective.invariance_coeff": 2.0})


@pytest.fixture(scope="module")
def members(base):
    """Return the base, it with one number changed, and it with all numbers and the seed changed."""
    one = [with_settings(base, {path: value}) for path, value in VALUES.items()]
    return [base, *one, with_settings(base, {**VALUES, "train.seed": 5})]


def test_lanes_of_other_numbers_are_single_runs(dataset, members):
    assert set(VALUES) == set(VARIED)
    found = train_members(dataset, members, together=True)
    for place in (0, -1):
        member, single = found.members[place], train(dataset, members[place]).best
        assert int(single.history["step"].iloc[-1]) >= 50
        assert apart(member.params, single.params) < 1e-5
        assert member.best_epoch == single.best_epoch
        assert list(member.history) == list(single.history)
    for member, settings in zip(found.members, members, strict=True):
        assert found.config_of(member) == settings
    for path, member in zip(VALUES, found.members[1:], strict=False):
        assert apart(member.params, found.members[0].params) > 1e-6, f"{path} changed nothing"


def test_one_after_the_other_in_one_program_is_the_same(dataset, members):
    ends = [members[0], members[-1]]
    compiled_before = _compiled.cache_info().misses
    found = train_members(dataset, ends, together=False)
    assert _compiled.cache_info().misses == compiled_before + 1, "numbers must not be compiled in"
    at_once = train_members(dataset, ends, together=True)
    for ours, theirs in zip(found.members, at_once.members, strict=True):
        assert apart(ours.params, theirs.params) < 1e-5


def test_a_program_serves_members_that_differ_in_numbers_and_seeds(dataset):
    configs = members_of(
        TINY, (0, 1), {"objective.beta": (0.1, 0.3, 0.0), "model.n_latent": (4, 5)}
    )
    assert len(configs) == 12
    groups = programs_of(configs, dataset.sizes)
    assert sorted(map(len, groups)) == [2, 2, 4, 4], "sizes, and terms that are off, part programs"
    for group in groups:
        members = [configs[i] for i in group]
        assert len({member.model.n_latent for member in members}) == 1
        assert len({member.objective.beta == 0 for member in members}) == 1
        values = varied_values(members)
        assert set(values) <= {"objective.beta"}
        chex.assert_trees_all_equal(
            values.get("objective.beta", np.float32([m.objective.beta for m in members])),
            np.float32([member.objective.beta for member in members]),
        )


@given(
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True),
    betas=st.lists(st.floats(0, 10, width=32), min_size=1, max_size=3, unique=True),
    hops=st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
)
def test_members_are_every_combination_once(seeds, betas, hops):
    configs = members_of(Config(), seeds, {"objective.beta": betas, "objective.hop": hops})
    found = {(c.train.seed, c.objective.beta, c.objective.hop) for c in configs}
    assert found == {(s, b, h) for s in seeds for b in betas for h in hops}
    assert len(configs) == len(found)
    check_members(configs)


@pytest.mark.parametrize(
    ("vary", "says"),
    [
        ({"objective.bta": (1.0,)}, "config.objective.bta: no such setting; did you mean 'beta'?"),
        ({"objectve.beta": (1.0,)}, "config.objectve: no such setting; did you mean 'objective'?"),
        ({"name.beta": (1.0,)}, "name is no group of settings"),
        ({"objective.beta": (-1.0,)}, "config.objective.beta=-1.0 must be at least 0"),
        ({"objective.beta": ()}, "at least one"),
        ({"objective.beta": 0.1}, "must be a list of values"),
        ({"objective.beta": (0.1, 0.1)}, "the value 0.1 twice"),
        ({"train.seed": (0, 1)}, "as seeds="),
    ],
)
def test_values_that_cannot_be_are_refused(dataset, config, vary, says):
    with pytest.raises(ConfigError, match=says.replace("(", r"\(").replace("?", r"\?")):
        train(dataset, config(), vary=vary)


def test_members_share_their_data_and_differ(config):
    one = config()
    other = dataclasses.replace(one, data=dataclasses.replace(one.data, path="other.h5ad"))
    with pytest.raises(ConfigError, match=r"share their data, but data.path is '' for one"):
        check_members([one, other])
    with pytest.raises(ConfigError, match="two members are the same run"):
        check_members([one, one])
