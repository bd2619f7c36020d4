"""Train on the tiny data set in a process of its own, to be ended from outside.

Usage: run_tiny.py WORKDIR MAX_EPOCHS [--resume] [--full-disk] [--distributed]
"""

import dataclasses
import resource
import sys

from gpo_vae_jax.errors import TrainingError
from gpo_vae_jax.runs.fit import fit
from gpo_vae_jax.runs.processes import join
from tests import forms
from tests.tiny import tiny_dataset
from tests.train.conftest import TINY

if __name__ == "__main__":
    forms.take()
    workdir, epochs, *words = sys.argv[1:]
    if "--full-disk" in words:  # files may not grow, which is how a full disk looks to a program
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
    if "--distributed" in words:
        join()
    train = dataclasses.replace(
        TINY.train, max_epochs=int(epochs), patience=1000, save_every_seconds=0.0
    )
    settings = dataclasses.replace(TINY, train=train)
    try:
        ended = fit(tiny_dataset(), settings, workdir, resume="--resume" in words, progress=False)
    except TrainingError as error:
        sys.exit(f"error: {error}")
    sys.exit(130 if ended.interrupted else 0)
