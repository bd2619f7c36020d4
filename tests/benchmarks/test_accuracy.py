"""Which runs the benchmark of accuracy makes: their data, their keys, and none of them twice."""

import pytest

from benchmarks import accuracy
from gpo_vae_jax import data, presets
from gpo_vae_jax.config_ranges import validate

SCORES = {"r": {}, "r2": {}, "iwelbo": 0.0, "network": None}


@pytest.fixture
def runs(quick, monkeypatch):
    """Return a function that runs the command and returns entries; and what it simulated."""
    made = []
    monkeypatch.setattr(data, "from_config", lambda config: made.append(config) or config)
    monkeypatch.setattr(accuracy, "train", lambda dataset, config, seeds: None)
    monkeypatch.setattr(accuracy, "scores", lambda trained, dataset, cells: SCORES)
    monkeypatch.setattr(accuracy, "use_compilation_cache", lambda: None)

    def run(*options):
        made.clear()
        return quick("accuracy", *options, quick=False), list(made)

    return run


def test_usual_runs_share_a_simulation_and_are_not_repeated(runs):
    found, made = runs("--seeds", 0, 1)
    assert len(found) == 12 and len(made) == 3  # a simulation each, two variants, two seeds
    assert [config.simulate.seed for config in made] == [0, 1, 2]
    assert {entry["data"] for entry in found} == set(accuracy.USUAL)
    again, made = runs("--seeds", 0, 1)
    assert again == found and made == []


def test_fresh_runs_have_data_of_their_own(runs):
    runs("--simulations", "cycles", "--seeds", 0, 1)
    found, made = runs("--simulations", "cycles", "simulation 1", "--seeds", 0, 1, "--fresh")
    assert len(found) == 4 + 8
    assert [(c.simulate.seed, c.prepare.seed) for c in made] == [(s, s) for s in (0, 1, 100, 101)]
    assert [c.simulate.cycles for c in made] == [0.2, 0.2, 0.0, 0.0]
    keys = {(e["data"], e["seed"], e["data_seed"]) for e in found}
    assert {("cycles", 1, 1), ("cycles", 1, None), ("simulation 1", 1, 101)} <= keys
    assert len(keys) == 6
    _, made = runs("--simulations", "cycles", "simulation 1", "--seeds", 0, 1, 2, "--fresh")
    assert [c.simulate.seed for c in made] == [2, 102]


def test_an_old_entry_without_a_data_seed_is_not_repeated(runs, tmp_path):
    found, _ = runs("--simulations", "hidden", "--seeds", 0)
    text = (tmp_path / "accuracy.json").read_text().replace('  "data_seed": null,\n', "")
    (tmp_path / "accuracy.json").write_text(text.replace(',\n  "data_seed": null', ""))
    again, made = runs("--simulations", "hidden", "--seeds", 0)
    assert made == [] and all("data_seed" not in entry for entry in again)
    assert len(again) == len(found) == 2


def test_each_seed_may_have_a_file_of_its_own(runs):
    found, made = runs(
        "--data",
        "screen=split{seed}.h5ad",
        "--simulations",
        "--seeds",
        3,
        4,
        "--variants",
        "no escape",
    )
    assert [(entry["seed"], entry["data_seed"]) for entry in found] == [(3, 3), (4, 4)]
    assert [config.data.path for config in made] == ["split3.h5ad", "split4.h5ad"]


def test_a_file_stays_the_same_when_simulations_are_fresh(runs):
    found, made = runs("--data", "screen=a.h5ad", "--simulations", "--seeds", 0, 1, "--fresh")
    assert len(found) == 4 and [config.data.path for config in made] == ["a.h5ad"]
    assert all(entry["data_seed"] is None for entry in found)


@pytest.mark.parametrize("name", accuracy.SIMULATIONS)
def test_every_simulation_is_possible_and_differs_from_the_demo(name):
    config = accuracy.config_of("accurate", name, None)
    validate(config)
    assert (config.simulate != presets.demo().simulate) == (name != "simulation 0")
    validate(accuracy.config_of("accurate", name, None, 3, quick=True))


def test_all_leaves_out_what_is_large():
    assert accuracy.chosen(None) == accuracy.USUAL
    assert set(accuracy.SIMULATIONS) - set(accuracy.chosen(["all"])) == set(accuracy.LARGE)
    assert accuracy.chosen(["500 genes", "all"])[:2] == ["500 genes", "simulation 0"]
    with pytest.raises(SystemExit, match="no simulation 'loops'; there are simulation 0"):
        accuracy.config_of("accurate", "loops", None)
