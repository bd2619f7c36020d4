"""Run programs in turn, each in a process of its own, so that a slow minute slows them all.

A worker is a program that sets itself up and prints one line of JSON with "ready": true. It answers
each line {"steps": k} with a line {"seconds": [...]}. On {"stop": true}, or at the end of its
input, it prints a last line and exits. Other fields of a request are the worker's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import options
from benchmarks.measuring.summary import summary

ROOT = Path(__file__).resolve().parents[2]
GRACE_S = 60.0  # for a worker to exit by itself: on a busy machine that can take long
_SHOWN = 4000  # characters of a failed worker's stderr


class WorkerError(RuntimeError):
    """A worker that exited or broke the protocol; the message ends with its stderr."""


def environment(root: Path = ROOT, device: str | None = None) -> dict[str, str]:
    """Return this process's environment for a child process.

    Args:
      root: where Python imports from first.
      device: on which jax runs; by default as in this process.
    """
    path = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    platforms = {"JAX_PLATFORMS": options.PLATFORMS[device]} if device else {}
    return os.environ | platforms | {"PYTHONPATH": os.pathsep.join(path)}


def module(name: str, *options: str, python: str = sys.executable) -> list[str]:
    """Return the command that runs a module of this folder, such as "programs.jax_step"."""
    return [python, "-m", f"benchmarks.{name}", *options]


class Worker:
    """A running worker; `ready` is the first line that it printed."""

    def __init__(self, name: str, command: Sequence[str], **popen: Any):
        """Start it and wait until it is ready.

        Raises:
          WorkerError: it exits first, or prints anything else.
        """
        self.name = name
        self._stderr, self._said = tempfile.TemporaryFile(mode="w+"), ""  # noqa: SIM115
        self._killed = False
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            **{"env": environment(), **popen},
        )
        self.ready = self._answer()
        if not self.ready.get("ready"):
            self.close()
            raise WorkerError(f"the worker {name} began with {self.ready}, not with ready")

    def ask(self, steps: int, **more: Any) -> dict[str, Any]:
        """Have it run some steps, and return its answer."""
        self._tell({"steps": steps, **more})
        return self._answer()

    def stop(self) -> dict[str, Any]:
        """Have it exit, and return its last line (raises WorkerError if it then fails)."""
        self._tell({"stop": True})
        last = self._answer()
        self.close()
        if self._process.returncode and not self._killed:
            raise self._failure("ended badly")
        return last

    def close(self) -> None:
        """End it if it still runs, and keep its stderr."""
        if self._stderr.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            self._killed = True
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._stderr.seek(0)
        self._said = self._stderr.read()[-_SHOWN:].strip()
        self._stderr.close()

    def _tell(self, request: dict[str, Any]) -> None:
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            self.close()
            raise self._failure("is gone") from error

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise self._failure("ended")
        try:
            return json.loads(line)
        except json.JSONDecodeError as error:
            self.close()
            raise self._failure(f"printed {line[:200]!r}, which is not JSON,") from error

    def _failure(self, what: str) -> WorkerError:
        code = self._process.returncode
        return WorkerError(f"the worker {self.name} {what} (exit code {code}):\n{self._said}")


def measure(
    commands: Mapping[str, Sequence[str]],
    steps: Mapping[str, int],
    rounds: int,
    say: Callable[[str], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Start all workers, ask each in turn for its number of steps, `rounds` times, and stop them.

    Returns:
      For each worker: "ready" and "last", its first and last line; "per_step", the summary of its
      seconds per step over the rounds; "loss", the latest.
    """
    workers: list[Worker] = []
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    found: dict[str, dict[str, Any]] = {}
    try:
        for name, command in commands.items():  # one by one: none slows another's setup
            workers.append(Worker(name, command))
            found[name] = {"ready": workers[-1].ready}
            if say:
                say(f"{name} is ready")
        for number in range(rounds):
            for worker in workers:
                answer = worker.ask(steps[worker.name])
                seconds[worker.name].append(sum(answer["seconds"]) / steps[worker.name])
                found[worker.name]["loss"] = answer.get("loss")
                if say:
                    took = seconds[worker.name][-1]
                    say(f"round {number + 1} of {rounds}, {worker.name}: {took:.4g} s")
        for worker in workers:
            found[worker.name]["last"] = worker.stop()
    finally:
        for worker in workers:
            worker.close()
    return {name: {**found[name], "per_step": summary(seconds[name])} for name in commands}


def serve(
    ready: Mapping[str, Any],
    run: Callable[[int], Mapping[str, Any]],
    last: Callable[[], Mapping[str, Any]],
) -> None:
    """Act as a worker: print `ready`, answer requests with `run(k)`, end with `last()`."""
    print(json.dumps({"ready": True, **ready}), flush=True)
    for line in sys.stdin:
        if not line.strip():
            continue
        request = json.loads(line)
        if request.get("stop"):
            break
        print(json.dumps(run(int(request["steps"]))), flush=True)
    print(json.dumps(last()), flush=True)
