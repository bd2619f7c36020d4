"""The compiled epoch: it is `run_epoch`, and compiling leaves its memory to the run."""

import subprocess
import sys
from pathlib import Path

import chex
import pytest

from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import init_state, run_epoch
from gpo_vae_jax.train.program import compiled
from tests.paths import ROOT
from tests.train.test_epoch import on_device


def test_the_program_is_run_epoch_and_is_compiled_once(dataset, config):
    spec = Spec.of(config(), dataset.sizes)
    arguments = (init_state(0, spec=spec), *on_device(dataset))
    program = compiled(run_epoch, arguments, spec=spec, n_rows=None)
    after, report = program(*arguments)
    chex.assert_trees_all_equal((after, report), run_epoch(*arguments, spec=spec))
    assert compiled(run_epoch, (after, *arguments[1:]), spec=spec, n_rows=None) is program
    assert compiled(run_epoch, arguments, spec=spec, n_rows=3) is not program
    second, _ = program(after, *arguments[1:])
    assert int(second.epoch) == 2


def test_memory_that_was_freed_in_pieces_goes_back_to_the_system():
    """A process of its own: what counts is the memory of the whole process."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("the memory of a process is read from /proc")
    program = """
import numpy as np
from pathlib import Path
from gpo_vae_jax.train.program import give_memory_back
def resident_gib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**30
pieces = [np.ones(10_000, np.float64) for _ in range(4000)]  # 0.3 GiB, each below a page map's size
kept = pieces[::100]
del pieces
before = resident_gib()
print(give_memory_back(), before - resident_gib())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    could, less = done.stdout.split()
    if could == "False":
        pytest.skip("this C library keeps what was freed")
    assert float(less) > 0.1
