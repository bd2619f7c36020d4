"""The same as `gpo-vae compare`, from a clone: python scripts/compare.py --help."""

import sys

from gpo_vae_jax.cli import run_script

if __name__ == "__main__":
    sys.exit(run_script("compare"))
