"""Damaged files of a run: named, with the state before in their place, and never other numbers.

tests/endurance/damaged.py damages every file of a run in many ways; here are those that matter.
"""

import contextlib
import json
import shutil

import chex
import numpy as np
import pytest

from gpo_vae_jax.errors import ConfigError, TrainingError
from gpo_vae_jax.runs.checkpoints import Checkpoints
from gpo_vae_jax.runs.fit import fit
from gpo_vae_jax.runs.saved import load, save
from gpo_vae_jax.runs.sealed_json import DamagedError, read_sealed, write_sealed
from tests.endurance.damaged import equal, facts
from tests.runs.test_fit import untimed


@pytest.fixture(scope="module")
def settings(config):
    """Return settings that keep every state for as long as two are kept."""
    return lambda epochs: config(max_epochs=epochs, patience=1000, save_every_seconds=0.0)


@pytest.fixture(scope="module")
def whole(dataset, settings, tmp_path_factory):
    """Return a run of four epochs; do not write into it."""
    folder = tmp_path_factory.mktemp("damage") / "run"
    fit(dataset, settings(4), folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def longer(dataset, settings, whole):
    """Return the same run after six epochs."""
    folder = shutil.copytree(whole, whole.parent / "longer")
    fit(dataset, settings(6), folder, resume=True, progress=False)
    return folder


@pytest.fixture
def run(whole, tmp_path):
    """Return a copy to be damaged."""
    return shutil.copytree(whole, tmp_path / "run")


def largest_file(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip_bits(file):
    """Flip a bit in every 64 bytes: some bytes of a checkpoint are never read."""
    data = bytearray(file.read_bytes())
    for at in range(32, len(data), 64):
        data[at] ^= 1
    file.write_bytes(data)


DAMAGES = {
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:100]),
    "flipped": flip_bits,
    "deleted": lambda file: file.unlink(),
}


def test_the_last_two_states_are_kept_each_with_a_record(whole, settings):
    assert sorted(p.name for p in (whole / "checkpoints/latest").iterdir()) == ["3", "4"]
    record = Checkpoints(whole / "checkpoints").last_record()
    assert record.epoch == 4
    assert record.history == (whole / "metrics.csv").read_text()
    assert record.data == read_sealed(whole / "run.json")["data"]["fingerprint"]
    assert record.settings and record.arrays


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_named_and_the_one_before_is_used(
    dataset, settings, run, longer, damage, capfd
):
    if damage == "deleted":
        shutil.rmtree(run / "checkpoints/latest/4/state")
    else:
        DAMAGES[damage](largest_file(run / "checkpoints/latest/4"))
    resumed = fit(dataset, settings(6), run, resume=True, progress=False)
    said = capfd.readouterr().err
    assert f"the checkpoint {run}/checkpoints/latest/4 is damaged" in said
    assert "after epoch 2" in said
    assert untimed(run) == untimed(longer)
    chex.assert_trees_all_equal(resumed.params, load(longer).params)


def test_with_no_state_left_the_error_says_what_remains(dataset, settings, run):
    for number in (3, 4):
        flip_bits(largest_file(run / f"checkpoints/latest/{number}"))
    with pytest.raises(TrainingError, match=r"no state in .*latest can be read: 2 are damaged"):
        fit(dataset, settings(6), run, resume=True, progress=False)
    load(run)  # the best parameters are still readable


def test_damaged_best_parameters_are_those_of_the_last_state(whole, run, capfd):
    (best,) = (run / "checkpoints/best").iterdir()
    flip_bits(largest_file(best))
    assert all(map(equal, facts(run), facts(whole)))
    assert "using the best parameters of the state" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["config.json", "run.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_description_is_refused_by_readers_and_mended_by_resuming(
    dataset, settings, run, longer, name, damage, capfd
):
    DAMAGES[damage](run / name)
    with pytest.raises((TrainingError, ConfigError), match=name):
        load(run)
    fit(dataset, settings(6), run, resume=True, progress=False)
    assert "It is written anew" in capfd.readouterr().err
    assert all(map(equal, facts(run), facts(longer)))


def test_a_changed_history_is_that_of_the_checkpoint(dataset, settings, run, whole, longer, capfd):
    text = (run / "metrics.csv").read_text()
    (run / "metrics.csv").write_text(text.replace("0", "1", 3))
    assert all(map(equal, facts(run), facts(whole)))
    assert "metrics.csv was damaged, changed or lost" in capfd.readouterr().err
    fit(dataset, settings(6), run, resume=True, progress=False)
    assert untimed(run) == untimed(longer)


def test_an_edited_file_says_how_to_keep_what_it_says(run):
    values = json.loads((run / "config.json").read_text())
    values["name"] = "mine"
    (run / "config.json").write_text(json.dumps(values))
    with pytest.raises(TrainingError, match='delete its line "checksum"'):
        load(run)
    del values["checksum"]
    (run / "config.json").write_text(json.dumps(values))
    assert load(run).config.name == "mine"


def test_checkpoints_of_another_run_are_refused(dataset, settings, config, run, tmp_path):
    other = config(max_epochs=4, patience=1000, learning_rate=2e-3)
    fit(dataset, other, tmp_path / "other", progress=False)
    shutil.rmtree(run / "checkpoints")
    shutil.copytree(tmp_path / "other" / "checkpoints", run / "checkpoints")
    with pytest.raises(TrainingError, match="written by a run with other settings"):
        fit(dataset, settings(6), run, resume=True, progress=False)


@pytest.mark.parametrize("epochs", [1, 4])
def test_a_run_killed_between_state_and_best_parameters_goes_on(
    dataset, settings, run, longer, tmp_path, epochs
):
    """Its best parameters are those of the state until they are saved on their own."""
    if epochs == 1:
        run = tmp_path / "first"
        fit(dataset, settings(1), run, progress=False)
    expected = load(run).best
    shutil.rmtree(run / "checkpoints/best")
    if epochs == 4:  # the best parameters of an earlier epoch are still there
        fit(dataset, settings(1), tmp_path / "early", progress=False)
        shutil.copytree(tmp_path / "early/checkpoints/best", run / "checkpoints/best")
    found = load(run).best
    assert found.best_epoch == expected.best_epoch
    chex.assert_trees_all_equal(found.params, expected.params)
    fit(dataset, settings(6), run, resume=True, progress=False)
    assert all(map(equal, facts(run), facts(longer)))
    assert (run / "checkpoints/best").is_dir()


def test_resuming_starts_what_was_not_started(dataset, settings, whole, tmp_path):
    fit(dataset, settings(4), tmp_path / "run", resume=True, progress=False)
    assert untimed(tmp_path / "run") == untimed(whole)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / ".run.json.12.part").write_text("{")
    (tmp_path / "half" / ".lock").write_text("")
    shutil.copy(whole / "run.json", tmp_path / "half" / "run.json")
    fit(dataset, settings(4), tmp_path / "half", resume=True, progress=False)
    assert untimed(tmp_path / "half") == untimed(whole)


def test_resuming_a_finished_run_keeps_what_was_found_with_it(dataset, settings, run):
    (run / "evaluation.json").write_text("{}")
    before = facts(run)
    fit(dataset, settings(4), run, resume=True, progress=False)
    assert (run / "evaluation.json").exists()
    assert all(map(equal, facts(run), before))
    fit(dataset, settings(5), run, resume=True, progress=False)
    assert not (run / "evaluation.json").exists(), "of the shorter run"


def test_a_saved_model_is_protected_too(whole, tmp_path):
    save(load(whole), tmp_path / "saved")
    assert all(map(equal, facts(tmp_path / "saved"), facts(whole)))
    flip_bits(largest_file(tmp_path / "saved" / "checkpoints"))
    with pytest.raises(TrainingError, match="is damaged"):
        load(tmp_path / "saved")


def test_reading_a_run_writes_nothing(run):
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    load(run)
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before


def test_sealed_values_are_returned_and_nothing_else_is(tmp_path):
    file = tmp_path / "a.json"
    write_sealed(file, {"b": [1, 2.5, None], "a": "ä"})
    assert read_sealed(file) == {"b": [1, 2.5, None], "a": "ä"}
    good = file.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(50):
        data = bytearray(good)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        file.write_bytes(data)
        with contextlib.suppress(DamagedError):  # not: blank space, or the checksum's own name
            assert {"b": [1, 2.5, None], "a": "ä"}.items() <= read_sealed(file).items()
