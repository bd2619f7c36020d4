"""gpo-vae sweep: its options, and one line for every mistake; tests/runs/test_sweep.py runs it."""

import pytest

from gpo_vae_jax.runs.sweeps.sweep_folder import SweepFolder
from tests.running import call


def test_a_grid_of_the_command_line_is_listed_and_can_grow(tmp_path):
    workdir = tmp_path / "sweep"
    words = ("sweep", "--preset=demo", f"--workdir={workdir}", "--list", "--seeds=0-1")
    done = call(*words, "--grid", "objective.invariance_coeff=1,3")
    assert done.status == 0, done.err
    assert done.out.splitlines() == [
        f"invariance_coeff={value},seed={seed}" for value in (1, 3) for seed in (0, 1)
    ]
    larger = call(*words, "--grid=objective.invariance_coeff=1,3,10")
    assert len(larger.out.splitlines()) == 6
    assert SweepFolder(workdir).read().grid["objective.invariance_coeff"] == (1, 3, 10)
    listed = call("sweep", f"--workdir={workdir}", "--list")
    assert listed.out == larger.out, "without settings it is the sweep that is there"
    other = call(*words, "--grid=objective.invariance_coeff=1,3,10", "--train.n_particles=3")
    assert other.status == 1
    assert "train.n_particles was 2, is 3" in other.err


@pytest.mark.parametrize("name", ["rpe1", "replogle", "adamson"])
def test_the_sweeps_of_the_paper_have_five_seeds(name, tmp_path):
    file = f"--config=configs/sweeps/{name}.py"
    done = call("sweep", file, f"--workdir={tmp_path / 'sweep'}", "--list", "--data.path=x.h5ad")
    assert done.out.splitlines() == [f"seed{seed}" for seed in range(5)]
    assert SweepFolder(tmp_path / "sweep").read().base.name == name


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--grid=objective.bta=1,2",), "config.objective.bta: no such setting; did you mean"),
        (("--grid=objective.beta",), "names no setting and values"),
        (("--grid=objective.beta=1",), "one run only"),
        (("--grid=objective.beta=a,b",), "objective.beta='a'"),
        (("--seeds=0,0",), "0 is named twice"),
        ((), "one run only"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(tmp_path, words, says):
    done = call("sweep", "--preset=demo", f"--workdir={tmp_path / 'sweep'}", *words)
    assert done.status == 1
    assert says in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "sweep").exists()


def test_a_folder_without_a_sweep_is_named(tmp_path):
    done = call("sweep", f"--workdir={tmp_path}")
    assert done.status == 1
    assert "holds no sweep: sweep.json is missing" in done.err
