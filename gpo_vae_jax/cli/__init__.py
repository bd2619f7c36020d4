"""The command line: `gpo-vae COMMAND`, and the scripts that start one of its commands.

Nothing here imports jax before a command needs it, so that help answers at once.
"""

from gpo_vae_jax.cli.command_line import main, run_script

__all__ = ["main", "run_script"]
