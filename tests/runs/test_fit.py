"""The run on the host: records, early stopping, resuming after every kind of end."""

import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import chex
import numpy as np
import pytest

from gpo_vae_jax.errors import ConfigError, TrainingError
from gpo_vae_jax.runs.fit import fit
from gpo_vae_jax.runs.run_folder import RunFolder
from gpo_vae_jax.runs.saved import load
from gpo_vae_jax.train import group
from tests.paths import ROOT


def rows(workdir):
    with (workdir / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def untimed(workdir):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows(workdir)]


def test_a_run_leaves_its_records(dataset, config, tmp_path):
    result = fit(dataset, config(max_epochs=3), tmp_path / "run", progress=False)
    folder = tmp_path / "run"
    assert RunFolder(folder).read_config() == config(max_epochs=3)
    run = json.loads((folder / "run.json").read_text())
    assert run["seed"] == 0
    assert {"jax", "flax", "optax", "gpo_vae_jax"} <= set(run["versions"])
    assert run["treatments"] == list(dataset.treatments)
    table = rows(folder)
    assert [row["epoch"] for row in table] == ["0", "1", "2"]
    assert {"train_loss", "val_grn", "gradient_norm", "share_ge_0.5", "block_edges_0.8"} <= set(
        table[0]
    )
    assert min(float(row["val_loss"]) for row in table) == pytest.approx(result.best.best_loss)
    params = load(folder).params
    chex.assert_trees_all_equal(params, result.params)
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]


def test_resumed_run_is_the_uninterrupted_run(dataset, config, tmp_path):
    whole = fit(dataset, config(max_epochs=5), tmp_path / "whole", progress=False)
    fit(dataset, config(max_epochs=2), tmp_path / "parts", progress=False)
    parts = fit(dataset, config(max_epochs=5), tmp_path / "parts", resume=True, progress=False)
    chex.assert_trees_all_equal(whole.params, parts.params)
    assert untimed(tmp_path / "whole") == untimed(tmp_path / "parts")


def test_run_ended_before_its_first_checkpoint_starts_from_the_beginning(dataset, config, tmp_path):
    whole = fit(dataset, config(max_epochs=2), tmp_path / "whole", progress=False)
    fit(dataset, config(max_epochs=1), tmp_path / "run", progress=False)
    shutil.rmtree(tmp_path / "run/checkpoints")
    resumed = fit(dataset, config(max_epochs=2), tmp_path / "run", resume=True, progress=False)
    chex.assert_trees_all_equal(whole.params, resumed.params)
    assert untimed(tmp_path / "whole") == untimed(tmp_path / "run")
    written = RunFolder(tmp_path / "run").read_config()
    assert written == config(max_epochs=2), "config.json says how far the run was told to go"


def test_training_stops_after_patience_epochs_without_a_best(dataset, config, tmp_path):
    settings = config(max_epochs=60, patience=3, learning_rate=0.3)
    result = fit(dataset, settings, tmp_path / "run", progress=False)
    assert result.best.n_epochs < 60
    assert result.best.n_epochs == result.best.best_epoch + 1 + 3


def test_milestones_are_kept(dataset, config, tmp_path):
    fit(dataset, config(max_epochs=4, checkpoint_every_steps=5), tmp_path / "run", progress=False)
    steps = sorted(int(p.name) for p in (tmp_path / "run/checkpoints/steps").iterdir())
    per_epoch = int(rows(tmp_path / "run")[0]["step"])
    ends = [per_epoch * (epoch + 1) for epoch in range(4)]
    assert steps == [end for end in ends if end // 5 > (end - per_epoch) // 5]


def test_loss_that_is_not_finite_names_epoch_step_and_term(dataset, config, tmp_path):
    splits = dict(dataset.splits)
    cells = splits["train"].cells
    delta = np.array(cells.delta)
    delta[7] = np.nan
    splits["train"] = splits["train"]._replace(cells=cells._replace(delta=delta))
    broken = dataclasses.replace(dataset, splits=splits)
    with pytest.raises(TrainingError, match=r"epoch 0, step \d+ of the epoch: .*grn.* not finite"):
        fit(broken, config(), tmp_path / "run", progress=False)


def test_last_good_state_survives_a_diverged_run(dataset, config, tmp_path, monkeypatch):
    """The loss of the third epoch is said not to be finite."""
    good = fit(dataset, config(max_epochs=2), tmp_path / "good", progress=False)
    reports = iter([None, None, "step 0 of the epoch: grn is not finite (nan)"])
    monkeypatch.setattr(group, "first_not_finite", lambda report: next(reports))
    with pytest.raises(TrainingError, match="epoch 2, step 0 of the epoch: grn"):
        fit(dataset, config(max_epochs=4), tmp_path / "run", progress=False)
    chex.assert_trees_all_equal(load(tmp_path / "run").params, good.params)
    assert (tmp_path / "run/checkpoints/latest/2").is_dir()


def test_folder_in_use_and_other_settings_are_refused(dataset, config, tmp_path):
    fit(dataset, config(max_epochs=1), tmp_path / "run", progress=False)
    with pytest.raises(TrainingError, match="--resume"):
        fit(dataset, config(max_epochs=1), tmp_path / "run", progress=False)
    with pytest.raises(TrainingError, match=r"train.batch_size was 32, is 16"):
        fit(dataset, config(batch_size=16), tmp_path / "run", resume=True, progress=False)
    fewer = dataclasses.replace(dataset, treatments=tuple("ABCDE"))
    with pytest.raises(TrainingError, match="other data"):
        fit(fewer, config(max_epochs=2), tmp_path / "run", resume=True, progress=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    with pytest.raises(TrainingError, match="not empty"):
        fit(dataset, config(), tmp_path / "mine", overwrite=True, progress=False)
    assert (tmp_path / "mine/notes.txt").read_text() == "keep"
    fit(dataset, config(max_epochs=2), tmp_path / "run", overwrite=True, progress=False)
    assert len(rows(tmp_path / "run")) == 2


def test_nothing_is_written_where_settings_cannot_work(dataset, config, tmp_path):
    settings = config()
    settings = dataclasses.replace(
        settings, model=dataclasses.replace(settings.model, sum_mode=True)
    )
    with pytest.raises(ConfigError, match="n_latent=5"):
        fit(dataset, settings, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_process_ended_from_outside_loses_nothing(dataset, config, tmp_path, how):
    """A real process is ended amid its epochs, and goes on to the uninterrupted run's numbers."""
    run = tmp_path / "run"
    script = ROOT / "tests" / "runs" / "run_tiny.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, script, run, "400"], env=environment)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if (run / "metrics.csv").exists() and len(rows(run)) >= 5:
                break
            time.sleep(0.02)
        process.send_signal(how)
        status = process.wait(60)
    finally:
        process.kill()
    assert status == (-signal.SIGKILL if how == signal.SIGKILL else 130)
    reached = len(rows(run))
    assert 5 <= reached < 400
    settings = config(max_epochs=reached + 2, patience=1000, save_every_seconds=0.0)
    resumed = fit(dataset, settings, run, resume=True, progress=False)
    whole = fit(dataset, settings, tmp_path / "whole", progress=False)
    assert resumed.best.n_epochs == reached + 2
    chex.assert_trees_all_close(resumed.params, whole.params, rtol=1e-6)
    assert [row["epoch"] for row in rows(run)] == [str(e) for e in range(reached + 2)]
    for ours, theirs in zip(rows(run), rows(tmp_path / "whole"), strict=True):
        assert float(ours["val_loss"]) == pytest.approx(float(theirs["val_loss"]), rel=1e-6)
