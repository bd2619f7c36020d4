"""--preset and --config: the same settings by either, and clear errors for files."""

import argparse

import pytest

from gpo_vae_jax import config_io, presets
from gpo_vae_jax.cli.overrides import RUN, separate
from gpo_vae_jax.cli.settings_arguments import as_given, config_of
from gpo_vae_jax.errors import ConfigError
from tests.paths import ROOT


def read(*words, preset=None, config=None):
    rest, overrides = separate(words, RUN)
    assert not rest
    return config_of(argparse.Namespace(preset=preset, config=config, overrides=overrides))


@pytest.mark.parametrize("name", ["rpe1", "demo"])
def test_a_preset_is_the_file_of_its_name(name):
    expected = presets.PRESETS[name]()
    assert read(preset=name) == read(config=str(ROOT / "configs" / f"{name}.py")) == expected


def test_what_a_run_wrote_is_read_and_changed(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(config_io.to_json(presets.demo()))
    assert read(config=str(file)) == presets.demo()
    assert read("--train.seed=3", config=str(file)).train.seed == 3


@pytest.mark.parametrize(
    "returned",
    [
        "presets.demo()",
        "to_config_dict(presets.demo())",
        "to_dict(presets.demo())",
    ],
)
def test_get_config_may_return_any_form(tmp_path, returned):
    file = tmp_path / "mine.py"
    file.write_text(
        "from gpo_vae_jax import presets\n"
        "from gpo_vae_jax.config_io import to_config_dict, to_dict\n\n\n"
        f"def get_config():\n    return {returned}\n"
    )
    assert read(config=str(file)) == presets.demo()


def test_a_path_is_relative_to_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "mine.json").write_text('{"train": {"seed": 5}}')
    monkeypatch.chdir(tmp_path)
    assert read(config="mine.json").train.seed == 5


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("mine.py", "def get_config(:", "SyntaxError"),
        ("mine.py", "import nowhere_at_all", "ModuleNotFoundError in line 1"),
        ("mine.py", "def get_config():\n    return 1 / 0", "ZeroDivisionError in line 2"),
        ("mine.py", "def other(): ...", "get_config"),
        ("mine.py", "def get_config(): return 3", "must return a Config or a ConfigDict, not int"),
        ("mine.json", "{", "neither a .py file nor JSON"),
        ("mine.json", "[]", "must hold a JSON object"),
        ("mine.json", '{"trian": {}}', "config.trian: no such setting; did you mean 'train'? (in "),
        ("mine.json", '{"train": {"seed": "x"}}', "config.train.seed='x' must be a whole number"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, name, text, says):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(config=str(file))
    assert says in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({}, "--preset is missing"),
        ({"preset": "demo", "config": "configs/demo.py"}, "exclude each other"),
        ({"preset": "rpe"}, "there is no preset 'rpe'; did you mean 'rpe1'?"),
        (
            {"config": "elsewhere/rpe1.py"},
            "elsewhere/rpe1.py: there is no such file in .*--preset rpe1",
        ),
        ({"config": "nosuch.py"}, "nosuch.py: there is no such file .*presets are demo, anndata"),
        ({"config": str(ROOT / "configs")}, "is a folder; name a file in it"),
    ],
)
def test_a_wrong_choice_is_told_the_right_ones(choice, says):
    with pytest.raises(ConfigError, match=says):
        read(**choice)


def test_the_choice_can_be_repeated():
    assert as_given(argparse.Namespace(preset="demo", config=None)) == "--preset demo"
    given = argparse.Namespace(preset=None, config="my configs/a.py")
    assert as_given(given) == "--config='my configs/a.py'"
