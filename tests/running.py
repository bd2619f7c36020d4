"""Commands as a user types them: in this process, or in one of their own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from typing import Any, NamedTuple

from gpo_vae_jax.cli import main
from tests.paths import ROOT


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


def call(*words: Any) -> Done:
    """Run a command in this process: no seconds to import jax."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in words])
    return Done(status, out.getvalue(), err.getvalue())


def start(*words: Any, **environment: str) -> Done:
    """Run Python with these words in the project's folder, as a process of its own."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )
    return Done(done.returncode, done.stdout, done.stderr)
