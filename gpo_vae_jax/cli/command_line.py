"""One command from its words to its exit status.

The exit status is 0 after success, 130 after Ctrl-C (or a training that was told to stop), 141
where the reader of the output went away, and 1 after any error, a mistake in the options included.
An error is one line on standard error.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from gpo_vae_jax import __version__
from gpo_vae_jax.cli.arguments import CommandParser
from gpo_vae_jax.cli.invocation import COMMANDS, Invocation
from gpo_vae_jax.config_io import meant
from gpo_vae_jax.errors import ConfigError, DataError, TrainingError

_OVERVIEW = """\
usage: {start} COMMAND [options]

GPO-VAE learns from CRISPR screens with single-cell read-out how cells respond
to perturbations, together with the gene regulatory network behind it.

commands, in the order of a project:
{commands}

the demo simulates its data; it takes about a minute:
  gpo-vae train --preset demo --workdir=runs/demo
  gpo-vae evaluate --workdir=runs/demo

COMMAND --help describes a command; --version prints the version.
Exit status: 0 success, 1 error, 130 interrupted."""


def main(argv: Sequence[str] | None = None, *, invocation: Invocation | None = None) -> int:
    """Run the command that `argv` names, by default the process's arguments.

    Returns:
      The exit status.
    """
    invocation = invocation or Invocation()
    words = list(sys.argv[1:] if argv is None else argv)
    _write_any_character()
    try:
        status = _dispatch(words, invocation)
        sys.stdout.flush()
    except (ConfigError, DataError, TrainingError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            return _output_is_closed()
        print(f"error: {invocation.spelled(_one_line(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def run_script(command: str) -> int:
    """Run a command as the script that was started, such as scripts/train.py."""
    folder = os.path.dirname(sys.argv[0]) or "."
    return main([command, *sys.argv[1:]], invocation=Invocation(scripts=Path(folder).as_posix()))


def _dispatch(words: list[str], invocation: Invocation) -> int:
    name = words[0] if words else "--help"
    if name in ("-h", "--help", "help") and len(words) < 2:
        width = max(map(len, COMMANDS)) + 2
        listed = "\n".join(f"  {command:{width}}{about}" for command, about in COMMANDS.items())
        print(invocation.spelled(_OVERVIEW.format(start=invocation.start, commands=listed)))
        return 0 if words else 1
    if name == "--version":
        print(__version__)
        return 0
    if name == "help":
        name, words = words[1], [words[1], "--help"]
    if name.startswith("-"):
        raise ConfigError(f"name a command before the option {name}: {', '.join(COMMANDS)}")
    if name not in COMMANDS:
        raise ConfigError(f"there is no command {name!r}; {meant(name, COMMANDS)}")
    module = importlib.import_module(f"gpo_vae_jax.cli.{name.replace('-', '_')}_command")
    parser = CommandParser(name, module.__doc__ or "", invocation)
    module.define(parser)
    if "-h" in words or "--help" in words:
        parser.print_help()
        return 0
    return module.run(parser.read(words[1:]), invocation) or 0


def _write_any_character() -> None:
    """Escape what the console's encoding lacks: a gene's or a file's name stops no work."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _output_is_closed() -> int:
    """Leave quietly, as a program does that SIGPIPE ends; Python flushes again on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _one_line(error: Exception) -> str:
    return re.sub(r"\s*\n\s*", "; ", str(error).strip()) or type(error).__name__
