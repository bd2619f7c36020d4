"""Settings on the command line: values are read in every form, mistakes are named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpo_vae_jax.cli.overrides import EVALUATION, RUN, Override, merged, separate
from gpo_vae_jax.config import Config, EvaluateConfig
from gpo_vae_jax.config_help import settings, shown
from gpo_vae_jax.errors import ConfigError

EVERY = [(RUN, setting) for setting in settings(Config)]
EVERY += [(EVALUATION, setting) for setting in settings(EvaluateConfig)]


def only(*words, form=RUN):
    rest, (override,) = separate(words, form)
    assert rest == []
    return override


@pytest.mark.parametrize(("form", "setting"), EVERY, ids=lambda value: str(value)[-30:])
def test_every_default_is_read_as_it_is_shown(form, setting):
    name = ".".join(setting.path)
    prefixes = [f"{form.prefix}."] + [""] * (form.short and len(setting.path) > 1)
    for prefix in prefixes:
        override = only(f"--{prefix}{name}={shown(setting.default)}", form=form)
        assert override == Override(setting.path, setting.default)


@given(value=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4).map(tuple))
def test_lists_are_read_in_every_form(value):
    for text in (repr(value), repr(list(value)), ",".join(map(repr, value))):
        assert only(f"--prepare.qc_also={text}").value == value


@given(value=st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact(value):
    assert only(f"--objective.beta={value!r}").value == value


@pytest.mark.parametrize(
    "text",
    ["('UMI_count','ngenes')", "UMI_count,ngenes", "[UMI_count, ngenes]", "UMI_count,ngenes,"],
)
def test_names_need_no_quotation_marks(text):
    assert only(f"--prepare.qc_metrics={text}").value == ("UMI_count", "ngenes")


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (("--train.max_epochs", "3"), 3),
        (("--config.train.max-epochs=3",), 3),
        (("--prepare.strong_max_knockdown", "-0.5"), -0.5),
        (("--prepare.use_raw",), True),
        (("--noprepare.use_raw",), False),
        (("--noconfig.prepare.use_raw",), False),
        (("--prepare.use_raw=no",), False),
        (("--objective.alpha=none",), None),
        (("--objective.alpha=0.5",), 0.5),
        (("--data.mask_test=()",), ()),
        (("--data.mask_test=",), ()),
        (("--data.mask_test=('A',)",), ("A",)),
        (("--evaluate.top_sets=(5,10)",), (5, 10)),
        (("--prepare.strong_table=",), ""),
        (("--data.path=a=b.h5ad",), "a=b.h5ad"),
        (("--config.name=mine",), "mine"),
    ],
)
def test_forms_of_a_value(words, value):
    form = EVALUATION if words[0].startswith("--evaluate") else RUN
    found = only(*words, form=form).value
    assert found == value
    assert type(found) is type(value)


def test_other_words_are_left_in_order():
    words = [
        "--workdir=runs/a.b",
        "word.with.dots",
        "--train.seed=3",
        "--data",
        "x.h5ad",
        "--config=a.py",
    ]
    rest, overrides = separate(words, RUN)
    assert rest == [word for word in words if word != "--train.seed=3"]
    assert overrides == [Override(("train", "seed"), 3)]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("--model.n_latnt=3", "--model.n_latnt: no such setting; did you mean --model.n_latent?"),
        ("--config.model.n_latnt=3", "did you mean --config.model.n_latent?"),
        ("--train.n_latent=3", "did you mean --model.n_latent?"),
        ("--mdoel.n_latent=3", "did you mean --model.n_latent?"),
        ("--model.seed=3", "mean --simulate.seed or --prepare.seed or --train.seed?"),
        ("--mdoel.n_latnt=3", "did you mean --model.n_latent?"),
        ("--train.zzzz=3", "no such setting; see gpo-vae settings train"),
        ("--zzzz.yyyy=3", "no such setting; see gpo-vae settings"),
        ("--normal.seed=3", "--normal.seed: no such setting"),
        ("--config.model=3", "is a group of settings; name one, such as --config.model.n_latent="),
        ("--objective.reweight=3", "such as --objective.reweight.prior="),
        ("--evaluate.top=3", "it belongs to gpo-vae evaluate"),
        ("--train.max_epochs=many", "--train.max_epochs=many must be a whole number"),
        ("--train.max_epochs=1.5", "--train.max_epochs=1.5 must be a whole number"),
        ("--train.max_epochs", "--train.max_epochs: a value is missing; it must be a whole number"),
        ("--train.learning_rate=fast", "must be a number"),
        ("--prepare.use_raw=maybe", "must be true or false"),
        ("--prepare.qc_also=3,x", "--prepare.qc_also=3,x must be a list of any number of numbers"),
        ("--objective.alpha=x", "must be a number, or none"),
    ],
)
def test_a_mistake_is_named(word, says):
    with pytest.raises(ConfigError) as caught:
        separate([word], RUN)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_commands_without_settings_say_so():
    with pytest.raises(ConfigError, match="this command takes no settings"):
        separate(["--train.seed=3"], None)
    with pytest.raises(ConfigError, match=r"settings of this command are --evaluate\.NAME=VALUE"):
        separate(["--train.seed=3"], EVALUATION)


def test_merging_changes_nothing_else():
    values = {"train": {"seed": 0, "patience": 3}, "name": "a"}
    changed = merged(values, [Override(("train", "seed"), 7), Override(("model", "n_latent"), 2)])
    assert changed == {"train": {"seed": 7, "patience": 3}, "name": "a", "model": {"n_latent": 2}}
    assert values == {"train": {"seed": 0, "patience": 3}, "name": "a"}
