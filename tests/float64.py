"""Run a test in float64: in a process of its own, for it is a setting of the whole process."""

import subprocess
import sys

from tests.paths import ROOT

_BEFORE = """
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy as np
"""


def run_in_float64(program: str) -> None:
    """Run the program, with jax, jnp and np there, and fail as it fails."""
    done = subprocess.run(
        [sys.executable, "-c", _BEFORE + program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
