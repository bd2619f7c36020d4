"""The compiled epoch: it is `run_epoch`, and compiling leaves its memory to the run."""

import subprocess
import sys

import chex
import pytest

from gpo_vae_jax.train import init_state, run_epoch
from gpo_vae_jax.train.program import epoch_program
from tests.paths import ROOT
from tests.train.test_epoch import on_device


def test_the_program_is_run_epoch_and_is_compiled_once(dataset, config):
    config, sizes = config(), dataset.sizes
    arguments = (init_state(0, config=config, sizes=sizes), *on_device(dataset))
    program = epoch_program(arguments, config, sizes, None)
    after, report = program(*arguments)
    chex.assert_trees_all_equal((after, report), run_epoch(*arguments, config=config, sizes=sizes))
    assert epoch_program((after, *arguments[1:]), config, sizes, None) is program
    assert epoch_program(arguments, config, sizes, 3) is not program
    second, _ = program(after, *arguments[1:])
    assert int(second.epoch) == 2


def test_memory_that_was_freed_in_pieces_goes_back_to_the_system():
    """A process of its own: what counts is the memory of the whole process."""
    program = """
import numpy as np
from benchmarks.memory import resident_gib
from gpo_vae_jax.train.program import give_memory_back
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
