"""The command line as `python -m gpo_vae_jax COMMAND`."""

import sys

from gpo_vae_jax.cli import main
from gpo_vae_jax.cli.invocation import Invocation

if __name__ == "__main__":
    sys.exit(main(invocation=Invocation("python -m gpo_vae_jax")))
