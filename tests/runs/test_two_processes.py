"""Two processes that train together over loopback: the run of one process, written by the first."""

import os
import signal
import socket
import subprocess
import sys
import time

import jax
import pytest

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.runs import processes
from gpo_vae_jax.runs.fit import fit
from gpo_vae_jax.runs.saved import load
from tests.paths import ROOT
from tests.runs.test_fit import rows
from tests.train.test_training import apart


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def together(run, epochs, *words):
    """Start both processes."""
    address = f"127.0.0.1:{free_port()}"
    words = [ROOT / "tests/runs/run_tiny.py", run, str(epochs), "--distributed", *words]
    return [
        subprocess.Popen(
            [sys.executable, *words],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "JAX_PLATFORMS": "cpu",
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": "2",
                "JAX_PROCESS_ID": str(number),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]


def ended(started, seconds=240):
    try:
        said = [process.communicate(timeout=seconds)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    return [process.returncode for process in started], said


@pytest.mark.skipif(
    jax.__version_info__ < processes._TOGETHER_ON_CPUS, reason="CPUs do not compute together"
)
def test_two_processes_are_one_run(dataset, config, tmp_path):
    """Also when both are told to stop, by a signal to one of them, and go on together."""
    run = tmp_path / "run"
    started = together(run, 100_000)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and all(one.poll() is None for one in started):
        if (run / "metrics.csv").exists() and len(rows(run)) >= 5:
            break
        time.sleep(0.02)
    started[1].send_signal(signal.SIGTERM)
    statuses, said = ended(started)
    assert statuses == [130, 130], said
    reached = len(rows(run))
    statuses, said = ended(together(run, reached + 2, "--resume"))
    assert statuses == [0, 0], said
    settings = config(max_epochs=reached + 2, patience=1000)
    whole = fit(dataset, settings, tmp_path / "whole", progress=False)
    assert apart(load(run).params, whole.params) < 1e-4
    for ours, theirs in zip(rows(run), rows(tmp_path / "whole"), strict=True):
        assert ours["epoch"] == theirs["epoch"]
        assert float(ours["val_loss"]) == pytest.approx(float(theirs["val_loss"]), rel=1e-5)


def test_one_process_agrees_with_itself():
    assert processes.is_primary()
    assert processes.agreed(True, False) == (True, False)
    tree = {"a": [1, 2]}
    assert processes.from_primary(tree) is tree


def test_processes_that_cannot_meet_are_told_what_to_set(monkeypatch):
    monkeypatch.setattr(jax.distributed, "initialize", _refuses)
    with pytest.raises(ConfigError, match="JAX_COORDINATOR_ADDRESS"):
        processes.join()


def _refuses(*given):
    raise ValueError("coordinator_address should be defined.")
