"""Settings: ways in and out lose nothing, and every wrong setting is named with its value."""

import copy
import dataclasses
import types
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpo_vae_jax import config_io
from gpo_vae_jax.config import Config, PrepareConfig
from gpo_vae_jax.errors import ConfigError

DEFAULT = config_io.to_dict(Config())


def leaves(kind=Config, path=()):
    """List (path, type) of every setting."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint, here = hints[field.name], (*path, field.name)
        if dataclasses.is_dataclass(hint):
            yield from leaves(hint, here)
        else:
            yield here, hint


LEAVES = dict(leaves())


def nested(path, value) -> dict:
    for name in reversed(path):
        value = {name: value}
    return value


def dotted(path) -> str:
    return "config." + ".".join(path)


def values_of(path, hint):
    """Return a strategy for values of a setting that are possible whatever the others are."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    special = {
        ("prepare", "qc_metrics"): st.lists(
            st.sampled_from(PrepareConfig.qc_metrics), unique=True
        ).map(tuple),
        ("simulate", "n_genes"): st.integers(100, 200),
        ("train", "cyclic_low"): st.floats(1e-4, 4e-3),
        ("prepare", "perturbation_key"): st.text(min_size=1, max_size=5),
        ("prepare", "control"): st.text(min_size=1, max_size=5),
        ("prepare", "guide_min_share"): st.floats(0.5, 1),
        ("prepare", "network_genes"): st.sampled_from(("extended", "perturbed", "all", "30")),
        ("prepare", "use_raw"): st.just(False),  # excludes a layer
        ("prepare", "scrublet"): st.sampled_from(("off", "whole", "slices")),  # "batch": a key
        ("model", "effect"): st.just("latent"),  # "propagated" needs a table, which it then allows:
        ("model", "effect_init"): st.just("random"),
        ("model", "escape_prior"): st.just(0.0),
        ("objective", "kl"): st.just("sampled"),
    }
    if path in special:
        return special[path]
    if origin is typing.Literal:
        return st.sampled_from(args)
    if origin in (types.UnionType, typing.Union):
        return st.none() | values_of(path, args[0])
    if origin is tuple:
        entry = values_of(path, args[0])
        if args[-1] is Ellipsis:
            return st.lists(entry, max_size=3).map(tuple)
        return st.tuples(*[entry] * len(args))
    numbers = {int: st.integers(1, 50), float: st.floats(0.01, 0.99), bool: st.booleans()}
    return numbers.get(hint, st.text(max_size=5))


@st.composite
def possible_values(draw):
    """Draw settings of which some differ from the defaults."""
    changed = draw(st.lists(st.sampled_from(list(LEAVES)), unique=True, max_size=12))
    values = copy.deepcopy(DEFAULT)
    for path in changed:
        group = values
        for name in path[:-1]:
            group = group[name]
        group[path[-1]] = draw(values_of(path, LEAVES[path]))
    return values


@settings(max_examples=40)
@given(values=possible_values())
def test_every_way_in_and_out_loses_nothing(values):
    config = config_io.from_dict(values)
    assert config_io.to_dict(config) == values
    assert config_io.from_json(config_io.to_json(config)) == config
    assert config_io.from_config_dict(config_io.to_config_dict(config)) == config
    assert hash(config) == hash(config_io.from_dict(config_io.to_dict(config)))


@pytest.mark.parametrize("path", LEAVES, ids=dotted)
def test_a_misspelt_setting_is_named_with_what_was_meant(path):
    wrong = (*path[:-1], path[-1] + "s")
    with pytest.raises(ConfigError) as caught:
        config_io.from_dict(nested(wrong, 1))
    assert f"{dotted(wrong)}: no such setting" in str(caught.value)
    assert f"did you mean {path[-1]!r}?" in str(caught.value)


def test_a_name_unlike_any_other_is_answered_with_all_names():
    with pytest.raises(ConfigError, match=r"config.train.zzzz.*batch_size.*weight_decay"):
        config_io.from_dict({"train": {"zzzz": 1}})


def wrong_values(hint):
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ["nonsense", 3, None]
    if origin in (types.UnionType, typing.Union):
        return ["0.5", [0.5], True]
    if origin is tuple:
        longer = [] if args[-1] is Ellipsis else [[1.0] * (len(args) + 1)]
        return ["abc", 3, None, [None], {"a": 1}, *longer]
    return {
        bool: [1, "true", None],
        int: [1.5, True, "3", None],
        float: ["0.5", True, None, float("nan"), float("inf")],
        str: [3, None, ["a"]],
    }[hint]


@pytest.mark.parametrize("path", LEAVES, ids=dotted)
def test_values_of_the_wrong_type_are_named(path):
    for value in wrong_values(LEAVES[path]):
        with pytest.raises(ConfigError) as caught:
            config_io.from_dict(nested(path, value))
        shown = repr(value[0]) if value == [None] else repr(value)
        assert dotted(path) in str(caught.value)
        assert shown in str(caught.value)


@pytest.mark.parametrize("value", [3, None, "adam", [1]])
@pytest.mark.parametrize("path", [("train",), ("objective", "reweight")])
def test_a_value_in_place_of_a_group_is_named(path, value):
    with pytest.raises(ConfigError) as caught:
        config_io.from_dict(nested(path, value))
    assert dotted(path) in str(caught.value)
    assert repr(value) in str(caught.value)


POSITIVE = "greater than 0"
RANGES = {
    "devices": {
        "members cells": ([-1], [0, 1, 4]),  # 0: as many as there are
        "genes": ([-1, 0], [1, 4]),
    },
    "model": {
        "n_latent basal_encoder_n_hidden decoder_n_hidden": ([-1, -3], [0, 1]),  # 0: chosen
        "embedding_encoder_n_hidden basal_encoder_n_layers embedding_encoder_n_layers": (
            [0, -3],
            [1],
        ),
        "decoder_n_layers propagate": ([-1], [0]),
        "temperature embedding_prior_scale readout_prior_scale": ([0.0, -1.0], [1e-3]),
        "escape_prior": ([-0.1, 0.95], [0.0]),
        "mask_prior readout_prior": ([0.0, 1.0, -0.1, 1.1], [1e-6, 0.999]),
    },
    "objective": {
        "alpha": ([-0.1, 1.1], [0.0, 1.0, None]),
        "beta gloss_coeff penalty_coeff invariance_coeff": ([-0.1], [0.0]),
        "hop": ([-1], [0]),
    },
    "train": {
        "batch_size max_epochs network_samples": ([-1], [0, 1]),  # 0: chosen
        "n_particles patience cyclic_step_size_up checkpoint_every_steps": ([0, -1], [1]),
        "learning_rate gradient_clip_norm mask_rate": ([0.0, -1.0], [1e-9]),
        "warmup final_rate": ([-0.1, 1.1], [0.0, 1.0]),
        "cyclic_low": ([0.0, -1.0, 6e-3], [5e-3]),
        "cyclic_high": ([0.0, -1.0, 4e-4], [5e-4]),
        "weight_decay save_every_seconds": ([-1e-9], [0.0]),
        "seed": ([-1], [0]),
    },
    "prepare": {
        "qc_threshold": ([0.0, -3.0], [0.1]),
        "min_cells": ([-1], [0, None]),
        "seed": ([-1], [0]),
        "qc_largest_share": ([-0.1, 1.1], [0.0, 1.0]),
        "network_most guide_min_umi": ([0], [1]),
        "guide_min_share": ([0.4, 1.1], [0.5, 1.0]),
        "network_genes": ([""], ["all", "50", "factors.txt"]),
        "extended_log_fold_change": ([-0.1], [0.0]),
        "extended_p": ([-0.1, 1.1], [0.0, 1.0]),
    },
    "simulate": {
        "n_cells n_perturbed n_batches": ([0, -1], [1]),
        "n_genes": ([0, -1, 29], [30]),
        "n_extended": ([-1, 101], [0, 100]),
        "control_fraction fail_fraction doublet_fraction double_fraction knockdown": (
            [-0.1, 1.1],
            [0.0, 1.0],
        ),
        "cycles escape_fraction batch_imbalance": ([-0.1, 1.1], [0.0, 1.0]),
        "n_hidden": ([-1], [0, 500]),
        "edges_per_gene saturation batch_effect": ([-0.1], [0.0]),
        "median_umi dispersion": ([0.0, -1.0], [1.0]),
        "seed": ([-1], [0]),
    },
}
BOUNDS = [
    (group, name, bad, good)
    for group, entries in RANGES.items()
    for names, (bad, good) in entries.items()
    for name in names.split()
]


@pytest.mark.parametrize(("group", "name", "bad", "good"), BOUNDS, ids=str)
def test_values_out_of_range_are_named_and_the_limits_are_allowed(group, name, bad, good):
    for value in good:
        config = config_io.from_dict({group: {name: value}})
        assert getattr(getattr(config, group), name) == value
    for value in bad:
        with pytest.raises(ConfigError, match=f"config.{group}") as caught:
            config_io.from_dict({group: {name: value}})
        assert name in str(caught.value)


def test_mask_init_is_a_probability_only_in_probs_mode():
    assert config_io.from_dict({"model": {"mask_init": -2.0}}).model.mask_init == -2.0
    with pytest.raises(ConfigError, match=r"model\.mask_init.*-2\.0"):
        config_io.from_dict({"model": {"mask_init": -2.0, "logits_or_probs": "probs"}})


def test_an_unknown_quality_metric_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"qc_metrics.*'mt_share'.*pct_counts_mt"):
        config_io.from_dict({"prepare": {"qc_metrics": ["mt_share"]}})


def test_a_misspelt_choice_is_answered_with_what_was_meant():
    with pytest.raises(ConfigError, match=r"optimizer='adan'.*mean 'adam'"):
        config_io.from_dict({"train": {"optimizer": "adan"}})


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "3", '{"train": {"seed": NaN}}'])
def test_text_that_holds_no_settings_is_refused(text):
    with pytest.raises(ConfigError):
        config_io.from_json(text)


def test_a_whole_number_becomes_a_float_where_one_is_meant():
    value = config_io.from_dict({"objective": {"beta": 1, "alpha": 0}}).objective
    assert isinstance(value.beta, float) and isinstance(value.alpha, float)


def test_an_unset_float_can_be_set_through_a_config_dict():
    values = config_io.to_config_dict(Config())
    assert config_io.from_config_dict(values).objective.alpha is None
    values.objective.alpha = 0.25
    assert config_io.from_config_dict(values).objective.alpha == 0.25


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"layer": "counts", "use_raw": True}, "a layer or use_raw"),
        ({"scrublet": "batch"}, "batch_key"),
        ({"control": ""}, "config.prepare.control is empty"),
    ],
)
def test_settings_that_exclude_or_need_each_other(values, says):
    with pytest.raises(ConfigError, match=says):
        config_io.from_dict({"prepare": values})


@pytest.mark.parametrize(
    ("model", "objective", "says"),
    [
        ({"effect": "propagated"}, {}, "effect_guide='encoder' is not available"),
        (
            {"effect": "propagated", "effect_guide": "table", "sum_mode": True},
            {},
            "set config.model.sum_mode=False",
        ),
        ({"effect_init": "deconvolution"}, {}, "set config.model.effect='propagated'"),
        ({"escape_prior": 0.1}, {}, "set config.model.effect='propagated'"),
        ({}, {"kl": "analytic"}, "set config.model.effect_guide='table'"),
        (
            {"effect_guide": "table"},
            {"kl": "analytic", "objective": "reweighted_elbo"},
            "has no samples to reweight",
        ),
    ],
)
def test_settings_of_effects_that_contradict_each_other_name_the_fix(model, objective, says):
    with pytest.raises(ConfigError, match=says):
        config_io.from_dict({"model": model, "objective": objective})
