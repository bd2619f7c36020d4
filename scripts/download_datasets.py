"""The same as `gpo-vae download`, from a clone: python scripts/download_datasets.py --help."""

import sys

from gpo_vae_jax.cli import run_script

if __name__ == "__main__":
    sys.exit(run_script("download"))
