"""Ends from outside: signals, a full disk, a folder that goes away; each in a real process."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from gpo_vae_jax.errors import TrainingError
from gpo_vae_jax.runs.checkpoints import Checkpoints
from gpo_vae_jax.runs.fit import fit
from gpo_vae_jax.runs.saved import load
from tests.paths import ROOT
from tests.runs.test_fit import rows
from tests.runs.test_run_lock import process_in


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_process_at_once_and_quietly(dataset, config, tmp_path, number):
    run = tmp_path / "run"
    process = process_in(run)
    process.send_signal(number)
    process.send_signal(number)
    time.sleep(0.005)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (128 + number, 130)
    assert "Traceback" not in said
    assert said.strip() in ("", "stopping after this epoch; press again to stop at once")
    record = Checkpoints(run / "checkpoints").last_record()
    settings = config(max_epochs=record.epoch + 1, patience=1000, save_every_seconds=0.0)
    resumed = fit(dataset, settings, run, resume=True, progress=False)
    assert resumed.best.n_epochs == record.epoch + 1


def test_signals_during_compilation_end_the_process(tmp_path):
    """The first epoch compiles for seconds, in which Python runs no handler."""
    script = ROOT / "tests/runs/run_tiny.py"
    process = subprocess.Popen(
        [sys.executable, script, tmp_path / "run", "10"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "GPO_VAE_JAX_CACHE": "off"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (tmp_path / "run" / "config.json").exists():
        time.sleep(0.01)
    time.sleep(1.0)  # it compiles now
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    before = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - before < 5, "the second signal does not wait for the compiler"
    assert process.returncode == 130
    assert said == "\nstopping after this epoch; press again to stop at once\n"


def test_a_full_disk_is_said_and_the_last_state_is_whole(dataset, config, tmp_path):
    """Files may not grow beyond some size, which is how a full disk looks to a program."""
    run = tmp_path / "run"
    good = fit(dataset, config(max_epochs=2, save_every_seconds=0.0), run, progress=False)
    done = subprocess.run(
        [sys.executable, ROOT / "tests/runs/run_tiny.py", run, "50", "--resume", "--full-disk"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "GPO_VAE_JAX_CACHE": "off"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr, done.stderr
    assert "cannot be written" in done.stderr
    assert load(run).best.n_epochs >= good.best.n_epochs
    whole = fit(
        dataset,
        config(max_epochs=5, patience=1000, save_every_seconds=0.0),
        run,
        resume=True,
        progress=False,
    )
    assert [row["epoch"] for row in rows(run)] == list("01234")
    assert whole.best.n_epochs == 5


def test_a_folder_removed_under_the_run_is_said(dataset, config, tmp_path):
    run = tmp_path / "run"

    def remove(end):
        if end.row["epoch"] == 1:
            shutil.rmtree(run)

    with pytest.raises(TrainingError, match=f"the run folder {run} was removed or renamed"):
        fit(dataset, config(max_epochs=5), run, progress=False, on_epoch=remove)
    assert not run.exists(), "nothing is left behind in its place"


def test_a_row_that_cannot_be_written_leaves_the_state_of_its_epoch(dataset, config, tmp_path):
    """The state before is gone by then; the row is in the record of the state."""
    run = tmp_path / "run"

    def no_file(end):
        if end.row["epoch"] == 1:
            (run / "metrics.csv").unlink()
            (run / "metrics.csv").mkdir()

    with pytest.raises(IsADirectoryError):
        fit(dataset, config(max_epochs=5), run, progress=False, on_epoch=no_file)
    assert (run / "checkpoints/latest/3").is_dir()
    (run / "metrics.csv").rmdir()
    fit(dataset, config(max_epochs=5), run, resume=True, progress=False)
    assert [int(row["epoch"]) for row in rows(run)] == [0, 1, 2, 3, 4]
