"""One process trains in a run folder at a time; the lock of a dead one is taken over."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from gpo_vae_jax.errors import TrainingError
from gpo_vae_jax.runs import run_lock
from gpo_vae_jax.runs.fit import fit
from gpo_vae_jax.runs.run_lock import NAME, RunLock
from tests.paths import ROOT


def process_in(run, *words):
    """Start a long training in a folder, and wait for its first epochs."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "tests/runs/run_tiny.py", run, "100000", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (run / "metrics.csv").exists() and (run / "metrics.csv").stat().st_size > 4000:
            break
        time.sleep(0.02)
    return process


def test_a_second_trainer_is_refused_and_named_the_first(dataset, config, tmp_path):
    run = tmp_path / "run"
    first = process_in(run)
    try:
        for how in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(TrainingError) as refused:
                fit(dataset, config(max_epochs=2), run, progress=False, **how)
            assert f"{run} is in use: process {first.pid} on host {os.uname().nodename}" in str(
                refused.value
            )
        assert first.poll() is None, "the first goes on"
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert (run / NAME).exists(), "a killed process leaves its lock"
        epochs = len((run / "metrics.csv").read_text().splitlines()) - 1
        settings = config(max_epochs=epochs + 1, patience=1000, save_every_seconds=0.0)
        fit(dataset, settings, run, resume=True, progress=False)
        assert not (run / NAME).exists()
    finally:
        first.kill()
        first.communicate()
    lines = (run / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [str(e) for e in range(epochs + 1)]


def test_a_lock_is_removed_and_with_it_the_folders_made_for_it(tmp_path):
    with RunLock(tmp_path / "a" / "b") as lock:
        assert json.loads(lock.path.read_text())["process"] == os.getpid()
        with pytest.raises(TrainingError, match="is in use"), RunLock(tmp_path / "a" / "b"):
            pass
    assert list((tmp_path / "a" / "b").iterdir()) == []
    with pytest.raises(KeyError), RunLock(tmp_path / "c" / "d"):
        raise KeyError
    assert not (tmp_path / "c").exists()


def left_by_other_host(folder, beat=1):
    folder.mkdir(exist_ok=True)
    owner = {"host": "elsewhere", "process": 7, "since": "yesterday", "beat": beat}
    (folder / NAME).write_text(json.dumps(owner).ljust(256))


def test_the_lock_of_another_host_is_taken_over_once_its_heart_stands_still(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "_LOOK", 0.01)
    left_by_other_host(tmp_path / "run")
    with RunLock(tmp_path / "run", patience=0.1) as lock:
        assert json.loads(lock.path.read_text())["host"] == os.uname().nodename


def test_the_lock_of_another_host_whose_heart_beats_is_respected(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "_LOOK", 0.01)
    left_by_other_host(tmp_path / "run")
    timer = threading.Timer(0.2, left_by_other_host, (tmp_path / "run", 2))
    timer.start()
    with (
        pytest.raises(TrainingError, match="process 7 on host elsewhere has been training"),
        RunLock(tmp_path / "run", patience=30.0),
    ):
        pass
    timer.join()


def test_without_locks_of_the_system_the_heartbeat_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "_lock", lambda descriptor: None)
    monkeypatch.setattr(run_lock, "_LOOK", 0.01)
    monkeypatch.setattr(run_lock, "BEAT", 0.02)
    with (
        RunLock(tmp_path),
        pytest.raises(TrainingError, match=f"process {os.getpid()}"),
        RunLock(tmp_path, patience=10.0),
    ):
        pass
