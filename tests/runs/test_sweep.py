"""Sweeps: the grid, its folder, what is run again, the table, and ends of every kind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpo_vae_jax.config_io import with_settings
from gpo_vae_jax.errors import ConfigError, TrainingError
from gpo_vae_jax.runs.fit import fit
from gpo_vae_jax.runs.saved import load
from gpo_vae_jax.runs.sweeps.sweep_folder import Sweep, SweepFolder
from gpo_vae_jax.runs.sweeps.sweep_run import run_sweep
from gpo_vae_jax.runs.sweeps.sweep_table import write_table
from gpo_vae_jax.runs.wandb_log import WandbLog
from gpo_vae_jax.train import group
from tests.paths import ROOT
from tests.train.conftest import TINY
from tests.train.test_training import apart

GRID = {"objective.beta": (0.1, 0.3), "train.learning_rate": (0.01, 0.003), "train.seed": (0, 1, 2)}


def swept(tmp_path, grid=None, **settings) -> SweepFolder:
    folder = SweepFolder(tmp_path / "sweep")
    base = with_settings(TINY, {"train.max_epochs": 2, **settings})
    folder.claim(Sweep.of(base, grid or GRID))
    return folder


def without_seconds(path: Path) -> pd.DataFrame:
    return pd.read_csv(path).drop(columns=["seconds"], errors="ignore")


@given(
    numbers=st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=4, unique=True),
    texts=st.lists(
        st.sampled_from(["elbo", "iwelbo", "reweighted_elbo"]), min_size=1, max_size=3, unique=True
    ),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=3, unique=True),
)
def test_names_are_those_of_the_settings(numbers, texts, seeds):
    grid = {"objective.gloss_coeff": numbers, "objective.objective": texts, "train.seed": seeds}
    sweep = Sweep.of(TINY, grid)
    names = sweep.names()
    assert len(names) == len(set(names)) == len(numbers) * len(texts) * len(seeds)
    assert not any(set(name) & set('/\\:*?"<>| ') for name in names)
    backwards = Sweep.of(TINY, {path: values[::-1] for path, values in grid.items()})
    assert sorted(backwards.names()) == sorted(names), "the order of values changes no name"
    longer = Sweep.of(TINY, {**grid, "objective.gloss_coeff": [*numbers, 2e6]})
    assert set(names) < set(longer.names()), "names stay when the grid grows"


def test_every_member_is_its_single_run_and_the_table_says_how_it_ended(dataset, tmp_path):
    folder = swept(tmp_path)
    assert not run_sweep(folder, dataset, progress_shown=False)
    table, summary = write_table(folder)
    assert len(table) == 12 and set(table["status"]) == {"finished"}
    assert list(table["objective.beta"]) == [0.1] * 6 + [0.3] * 6
    assert len(summary) == 4 and set(summary["n"]) == {3}
    last = table.iloc[-1]
    name = "beta=0.3,learning_rate=0.003,seed=2"
    assert last["name"] == name
    settings = {"objective.beta": 0.3, "train.learning_rate": 0.003, "train.seed": 2}
    config = with_settings(TINY, {"train.max_epochs": 2, **settings})
    single = fit(dataset, config, tmp_path / "single", progress=False)
    member = load(folder.member(name).path)
    assert apart(member.params, single.params) < 1e-5
    assert member.config == config
    assert last["val_loss"] == pytest.approx(single.best.best_loss, rel=1e-6)
    rows = table[(table["objective.beta"] == 0.1) & (table["train.learning_rate"] == 0.01)]
    assert summary["val_loss_mean"][0] == pytest.approx(rows["val_loss"].mean())
    assert summary["val_loss_sd"][0] == pytest.approx(rows["val_loss"].std(ddof=1))
    on_disk = json.loads((folder.path / "sweep_results.json").read_text())
    assert [row["name"] for row in on_disk["members"]] == list(table["name"])


def test_a_larger_grid_runs_what_is_new(dataset, tmp_path):
    grid = {"objective.beta": (0.1,), "train.seed": (0, 1)}
    folder = swept(tmp_path, grid)
    run_sweep(folder, dataset, progress_shown=False)
    before = {name: folder.member(name).result.stat().st_mtime_ns for name in folder.read().names()}
    folder = swept(tmp_path, {"objective.beta": (0.1, 0.2), "train.seed": (0, 1)})
    run_sweep(folder, dataset, progress_shown=False)
    for name, time_ in before.items():
        assert folder.member(name).result.stat().st_mtime_ns == time_, "it ran again"
    assert len(write_table(folder)[0]) == 4
    with pytest.raises(TrainingError, match=r"its grid lacks beta=0.1,seed=0"):
        swept(tmp_path, {"objective.beta": (0.2,), "train.seed": (0, 1)})
    with pytest.raises(TrainingError, match=r"train.batch_size was 32, is 16"):
        swept(tmp_path, grid, **{"train.batch_size": 16})


def test_a_member_that_diverges_is_noted_and_the_others_go_on(
    for_a_cpu, dataset, tmp_path, monkeypatch
):
    folder = swept(tmp_path, {"train.seed": (0, 1, 2)})
    reports = iter([None, None, "step 1 of the epoch: grn is not finite (nan)"])
    monkeypatch.setattr(group, "first_not_finite", lambda report: next(reports, None))
    run_sweep(folder, dataset, progress_shown=False)
    table, summary = write_table(folder)
    assert list(table["status"]) == ["finished", "failed", "finished"]
    assert "grn is not finite" in table["reason"][1]
    assert list(summary["n"]) == [2]


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        ({"objective.bta": (1, 2)}, "did you mean 'beta'"),
        ({"train.seed": (0,)}, "one run only"),
        ({"objective.beta": (-1.0, 1.0)}, "must be at least 0"),
        ({"train.seed": (1, 1)}, "named twice"),
        ({"model.n_latent": (4, 4)}, "the value 4 twice"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_before_anything_is_written(tmp_path, grid, says):
    with pytest.raises(ConfigError, match=says):
        swept(tmp_path, grid)
    assert not (tmp_path / "sweep").exists()


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "notes.txt").write_text("keep")
    with pytest.raises(TrainingError, match="holds no sweep"):
        swept(tmp_path)


SMALL = (
    "--simulate.n_cells=600", "--simulate.n_genes=30", "--simulate.n_perturbed=5",
    "--simulate.n_extended=2", "--train.max_epochs=6", "--train.batch_size=64",
    "--train.save_every_seconds=0",
)  # fmt: skip


def begun(workdir, *more, what=("--config=configs/sweeps/demo.py",)) -> subprocess.Popen:
    words = ["sweep", *what, *SMALL, f"--workdir={workdir}", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "gpo_vae_jax", *words],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def wait_for(process, condition, seconds=240):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None and not condition():
        time.sleep(0.02)


def test_an_interrupted_sweep_gives_the_table_of_an_uninterrupted_one(tmp_path):
    """2 x 2 settings x 3 seeds by one command: stopped by SIGINT, then killed, then finished."""
    whole = begun(tmp_path / "whole")
    parts = begun(tmp_path / "parts")
    members = tmp_path / "parts" / "members"
    wait_for(parts, lambda: len(list(members.glob("*/metrics.csv"))) >= 3)
    parts.send_signal(signal.SIGINT)
    out, _ = parts.communicate(timeout=240)
    assert parts.returncode == 130, out
    assert "the same command goes on" in out
    table = pd.read_csv(tmp_path / "parts" / "sweep.csv")
    assert {"finished", "interrupted"} <= set(table["status"]) <= {
        "finished", "interrupted", "waiting",
    }  # fmt: skip
    again = begun(tmp_path / "parts")
    wait_for(again, lambda: len(list(members.glob("*/result.json"))) >= 6)
    again.kill()
    again.communicate(timeout=60)
    last = begun(tmp_path / "parts")
    out, _ = last.communicate(timeout=240)
    assert last.returncode == 0, out
    assert whole.wait(240) == 0, whole.communicate()[0]
    whole.communicate()
    ours, theirs = (without_seconds(tmp_path / at / "sweep.csv") for at in ("parts", "whole"))
    assert len(theirs) == 12 and set(theirs["status"]) == {"finished"}
    pd.testing.assert_frame_equal(ours, theirs)
    summaries = [without_seconds(tmp_path / at / "sweep_summary.csv") for at in ("parts", "whole")]
    pd.testing.assert_frame_equal(*summaries)
    shutil.rmtree(tmp_path / "whole")


def test_members_run_in_processes_of_their_own(tmp_path):
    what = ("--preset=demo", "--seeds=0,1", "--jobs=2")
    done = begun(tmp_path / "sweep", "--train.max_epochs=1", what=what)
    out, _ = done.communicate(timeout=400)
    assert done.returncode == 0, out
    table = pd.read_csv(tmp_path / "sweep" / "sweep.csv")
    assert list(table["n_epochs"]) == [1, 1]
    assert (tmp_path / "sweep" / "logs" / "seed1.log").stat().st_size > 0


def test_members_run_as_redun_tasks(dataset, tmp_path, monkeypatch):
    pytest.importorskip("redun")
    from gpo_vae_jax.runs.sweeps import redun_tasks

    folder = swept(tmp_path, {"train.seed": (0, 1)})
    ran = []

    def run_member(folder, name, more):
        ran.append(name)
        run_sweep(folder, dataset, only=[name], progress_shown=False)
        return 0

    monkeypatch.setattr(redun_tasks, "run_member", run_member)
    assert not redun_tasks.run_with_redun(folder)
    assert sorted(ran) == ["seed0", "seed1"]
    assert set(write_table(folder)[0]["status"]) == {"finished"}
    assert not redun_tasks.run_with_redun(folder)
    assert len(ran) == 2, "redun runs again what has ended"


def test_without_redun_or_wandb_the_error_says_what_to_install(tmp_path, monkeypatch):
    from gpo_vae_jax.runs.sweeps.redun_tasks import run_with_redun

    for name in ("redun", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"pip install 'gpo-vae-jax\[sweep\]'"):
        run_with_redun(swept(tmp_path))
    with pytest.raises(ConfigError, match=r"--wandb needs wandb.*gpo-vae-jax\[sweep\]"):
        WandbLog("project", TINY, tmp_path, name="run")


def test_every_epoch_is_told_to_wandb(dataset, config, tmp_path, monkeypatch):
    """With a stand-in for wandb; the real one is tried below where it is installed."""
    told, options = [], []
    run = types.SimpleNamespace(
        log=lambda row, step: told.append((step, row)), finish=lambda: told.append("end")
    )
    module = types.SimpleNamespace(init=lambda **given: options.append(given) or run)
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)
    listener = WandbLog("project", config(), tmp_path / "run", name="a", group="g")
    trained = fit(
        dataset, config(max_epochs=2), tmp_path / "run", progress=False, on_epoch=listener
    )
    assert [entry[0] for entry in told[:-1]] == [0, 1] and told[-1] == "end"
    assert told[1][1]["val_loss"] == trained.history["val_loss"][1]
    assert options[0]["project"] == "project" and options[0]["group"] == "g"
    again = WandbLog("project", config(), tmp_path / "run", name="a")._options["id"]
    assert again == options[0]["id"], "a resumed training goes on in the same run"


def test_wandb_works_offline(dataset, config, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    for name, value in {"MODE": "offline", "SILENT": "true", "DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    run = tmp_path / "run"
    listener = WandbLog("project", config(), run, name="a")
    fit(dataset, config(max_epochs=2), run, progress=False, on_epoch=listener)
    (kept,) = run.glob("wandb/offline-run-*/*.wandb")
    assert kept.stat().st_size > 1000
