"""What every script does around its work: flags, quiet logs, errors as one line."""

from __future__ import annotations

import sys
from collections.abc import Callable

from absl import app, flags, logging

from gpo_vae_jax.errors import ConfigError, DataError, TrainingError


def run(work: Callable[..., int | None], takes_words: bool = False) -> None:
    """Parse the flags and work; `work` gets the words that are no flags, if it takes any.

    Exits with what `work` returns, or 0; after an error of the library or in the flags with 1,
    the error on one line of standard error.
    """

    def main(argv: list[str]) -> None:
        logging.set_verbosity(logging.WARNING)
        try:
            if len(argv) > 1 and not takes_words:
                raise ConfigError(f"unexpected arguments: {' '.join(argv[1:])}")
            status = work(argv[1:]) if takes_words else work()
        except (ConfigError, DataError, TrainingError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            status = 1
        sys.exit(status or 0)

    def parse(argv: list[str]) -> list[str]:
        flags.FLAGS.set_gnu_getopt(takes_words)  # flags may follow words
        try:
            return flags.FLAGS(argv)
        except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
            text = str(error).removeprefix("'").removesuffix("'")  # a KeyError's text is quoted
            text = text.replace("\\n", "; ").replace("\\'", "'")
            print(f"error: {text}; see --help", file=sys.stderr)
            sys.exit(1)

    app.run(main, flags_parser=parse)
