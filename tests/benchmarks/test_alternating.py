"""Workers take turns; their answers are summarised, their failures explained."""

import os
import sys

import pytest

from benchmarks.measuring.summary import ratio, summary
from benchmarks.workers import alternating, own_process
from tests.benchmarks.programs import FAKE_TORCH

LOGGED = """
import json, sys
name, log = sys.argv[1:]
print(json.dumps({"ready": True, "name": name}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request.get("stop"):
        break
    with open(log, "a") as file:
        file.write(name + str(request["steps"]) + " ")
    print(json.dumps({"seconds": [1.0, 3.0], "loss": 2.5}), flush=True)
print(json.dumps({"peak_gib": 1.5}), flush=True)
"""
DIES = FAKE_TORCH.replace("break", "raise RuntimeError('out of paper')")


def command(text, *arguments):
    return [sys.executable, "-c", text, *arguments]


def test_workers_take_turns(tmp_path):
    log = str(tmp_path / "log")
    commands = {name: command(LOGGED, name, log) for name in "ab"}
    said = []
    found = alternating.measure(commands, {"a": 4, "b": 2}, rounds=3, say=said.append)
    assert (tmp_path / "log").read_text() == "a4 b2 " * 3
    assert found["a"]["per_step"]["median"] == 1.0 and found["b"]["per_step"]["median"] == 2.0
    assert found["a"]["ready"]["name"] == "a" and found["b"]["last"] == {"peak_gib": 1.5}
    assert found["a"]["loss"] == 2.5
    assert said[0] == "a is ready" and said[-1] == "round 3 of 3, b: 2 s"


def test_a_summary_has_median_and_spread():
    found = summary([1.0, 2.0, 3.0, 4.0, 10.0])
    assert found == {"median": 3.0, "min": 1.0, "max": 10.0, "iqr": 2.0, "n": 5}
    assert summary([2.0])["iqr"] == 0
    assert ratio({"median": 16.5}, {"median": 0.8}) == 20.6
    with pytest.raises(ValueError, match="at least one round"):
        summary([])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit('no such device')", "ended.*exit code 1.*no such device"),
        ("print('hello')", "not JSON"),
        ("print('{}')", "not with ready"),
        (DIES, "out of paper"),
    ],
)
def test_a_failing_worker_says_why(text, message):
    with pytest.raises(alternating.WorkerError, match=f"(?s){message}"):
        alternating.measure({"ours": command(text)}, {"ours": 1}, rounds=1)


def test_a_worker_that_is_slow_to_leave_loses_nothing(monkeypatch):
    monkeypatch.setattr(alternating, "GRACE_S", 0.2)
    text = FAKE_TORCH + "import time; time.sleep(600)"
    found = alternating.measure({"slow": command(text)}, {"slow": 1}, rounds=1)
    assert found["slow"]["last"] == {"peak_gib": 100.0}


def test_a_call_in_a_process_of_its_own():
    assert own_process.call(os.getpid) != os.getpid()


def test_a_worker_that_dies_while_it_works_says_why():
    text = FAKE_TORCH.replace("    print(", "    raise MemoryError('full')\n    print(")
    with pytest.raises(alternating.WorkerError, match=r"(?s)worker ours ended.*full"):
        alternating.measure({"ours": command(text)}, {"ours": 1}, rounds=1)
