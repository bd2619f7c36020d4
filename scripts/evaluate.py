"""The same as `gpo-vae evaluate`, from a clone: python scripts/evaluate.py --help."""

import sys

from gpo_vae_jax.cli import run_script

if __name__ == "__main__":
    sys.exit(run_script("evaluate"))
