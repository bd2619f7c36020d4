"""The same as `gpo-vae export-grn`, from a clone: python scripts/export_grn.py --help."""

import sys

from gpo_vae_jax.cli import run_script

if __name__ == "__main__":
    sys.exit(run_script("export-grn"))
