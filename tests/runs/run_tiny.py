"""Train on the tiny data set in a process of its own, to be ended from outside.

Usage: run_tiny.py WORKDIR MAX_EPOCHS
"""

import dataclasses
import sys

from gpo_vae_jax.runs.fit import fit
from tests.tiny import tiny_dataset
from tests.train.conftest import TINY

if __name__ == "__main__":
    train = dataclasses.replace(
        TINY.train, max_epochs=int(sys.argv[2]), patience=1000, save_every_seconds=0.0
    )
    settings = dataclasses.replace(TINY, train=train)
    sys.exit(130 if fit(tiny_dataset(), settings, sys.argv[1], progress=False).interrupted else 0)
