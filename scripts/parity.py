"""The same as `gpo-vae parity`, from a clone: python scripts/parity.py --help."""

import sys

from gpo_vae_jax.cli import run_script

if __name__ == "__main__":
    sys.exit(run_script("parity"))
