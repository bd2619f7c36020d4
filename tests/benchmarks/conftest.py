"""Run a benchmark in this process, quickly, and return what it wrote."""

import importlib
import json

import pytest

from benchmarks.programs import jax_program


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Return a function that runs `python -m benchmarks.NAME --quick` here; it returns entries."""
    monkeypatch.setattr(jax_program, "use_device", lambda name: None)  # jax runs already

    def run(name, *options, quick=True):
        command = importlib.import_module(f"benchmarks.{name}")
        command.main([*map(str, options), "--results", str(tmp_path), *["--quick"] * quick])
        return json.loads((tmp_path / f"{name}.json").read_text())

    return run
