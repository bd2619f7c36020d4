"""Measure programs in turn: each in a process of its own, told when to run, asked one by one.

What slows a shared machine down then slows all of them down. A worker is a program that sets itself
up, prints one line of JSON with "ready": true, answers each line {"steps": k} with a line
{"seconds": [...]} and, on {"stop": true} or at the end of its input, prints a last line and ends.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

GRACE_S = 60.0  # for a worker to end by itself: on a busy machine leaving can take long
_SHOWN = 4000  # characters of a failed worker's messages


class WorkerError(RuntimeError):
    """Say that a worker ended or did not keep to the protocol; holds its messages."""


class Worker:
    """Hold a running worker; `ready` is what it said when it was set up."""

    def __init__(self, name: str, command: Sequence[str], **popen: Any):
        """Start it and wait until it is ready (raises WorkerError)."""
        self.name = name
        self._messages, self._said = tempfile.TemporaryFile(mode="w+"), ""
        self._killed = False  # by us, because it did not end
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            text=True,
            **popen,
        )
        self.ready = self._answer()
        if not self.ready.get("ready"):
            self.close()
            raise WorkerError(f"the worker {name} began with {self.ready}, not with ready")

    def ask(self, steps: int) -> dict[str, Any]:
        """Let it run some steps and give its answer."""
        self._tell({"steps": steps})
        return self._answer()

    def stop(self) -> dict[str, Any]:
        """Let it end and give its last words (raises WorkerError if it then fails by itself)."""
        self._tell({"stop": True})
        last = self._answer()
        self.close()
        if self._process.returncode and not self._killed:
            raise self._failure("ended badly")
        return last

    def close(self) -> None:
        """End it if it still runs, and keep what it said."""
        if self._messages.closed:
            return
        if not self._process.stdin.closed:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                pass
        try:
            self._process.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            self._killed = True
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._messages.seek(0)
        self._said = self._messages.read()[-_SHOWN:].strip()
        self._messages.close()

    def _tell(self, what: dict[str, Any]) -> None:
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
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
            raise self._failure(f"printed {line[:200]!r}, which is no JSON,") from error

    def _failure(self, what: str) -> WorkerError:
        code = self._process.returncode
        return WorkerError(
            f"the worker {self.name} {what} (exit code {code}); it said:\n{self._said}"
        )


def measure(
    commands: Mapping[str, Sequence[str]],
    steps: Mapping[str, int],
    rounds: int,
    say: Callable[[str], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Start all workers, ask each in turn for its number of steps, `rounds` times, and end them.

    Returns:
      For each worker: "ready" and "last", what it said at start and end; "per_step", the summary of
      its seconds per step over the rounds; "loss", the last.
    """
    workers: list[Worker] = []
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    found: dict[str, dict[str, Any]] = {}
    try:
        for name, command in commands.items():  # one after the other: none slows another's setup
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


def summary(values: Sequence[float]) -> dict[str, float | int]:
    """Return median and spread: least, most, and the range of the middle half."""
    if not values:
        raise ValueError("nothing was measured: ask for at least one round")
    low = high = values[0]
    if len(values) > 1:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return {
        "median": significant(statistics.median(values)),
        "min": significant(min(values)),
        "max": significant(max(values)),
        "iqr": significant(high - low),
        "n": len(values),
    }


def ratio(slow: Mapping[str, float], fast: Mapping[str, float]) -> float:
    """Return how many times faster the second is, by medians."""
    return significant(slow["median"] / fast["median"], 3)


def significant(value: float, digits: int = 4) -> float:
    """Round to some significant digits."""
    return float(f"{value:.{digits}g}")


def to_stderr(text: str) -> None:
    """Show progress."""
    print(text, file=sys.stderr, flush=True)


def serve(
    ready: Mapping[str, Any],
    run: Callable[[int], Mapping[str, Any]],
    last: Callable[[], Mapping[str, Any]],
) -> None:
    """Be a worker: say `ready`, answer requests with `run(k)`, end with `last()`."""
    print(json.dumps({"ready": True, **ready}), flush=True)
    for line in sys.stdin:
        if not line.strip():
            continue
        request = json.loads(line)
        if request.get("stop"):
            break
        print(json.dumps(run(int(request["steps"]))), flush=True)
    print(json.dumps(last()), flush=True)
