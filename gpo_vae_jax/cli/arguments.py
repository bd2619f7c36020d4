"""The options of a command: argparse with one-line errors and help within 80 columns."""

from __future__ import annotations

import argparse
import math
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from gpo_vae_jax.cli.invocation import Invocation
from gpo_vae_jax.cli.overrides import Form, separate
from gpo_vae_jax.config_io import meant
from gpo_vae_jax.errors import ConfigError

WIDTH = 80  # columns of help
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
_REWORDED = {
    "expected one argument": "a value is missing",
    "expected at least one argument": "a value is missing",
}


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help within 80 columns; a default is not torn from its number."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=26, width=WIDTH)

    def _split_lines(self, text: str, width: int) -> list[str]:
        lines = super()._split_lines(text.replace("(default: ", "(default:\xa0"), width)
        return [line.replace("\xa0", " ") for line in lines]


class CommandParser(argparse.ArgumentParser):
    """The options of one command, its settings (--GROUP.NAME=VALUE), and words after options."""

    def __init__(self, name: str, about: str, invocation: Invocation):
        super().__init__(
            prog=invocation.command(name),
            description=invocation.spelled(about.strip().replace("\n\n", "\n", 1)),
            formatter_class=_Help,
            add_help=False,
            allow_abbrev=False,
        )
        self._invocation = invocation
        self._form: Form | None = None
        self._words = ""
        self._flags: set[str] = set()

    def takes(self, usage: str, *, words: str = "", settings: Form | None = None) -> None:
        """Say how the command is used.

        Args:
          usage: what follows the command's name, for the first line of help.
          words: what words that follow no option are: values of a repeatable option, if it is
            given at all, or "words" for those of the command itself. By default there are none.
          settings: those that --GROUP.NAME=VALUE may change.
        """
        self.usage = f"{self.prog} {usage}"
        self._words, self._form = words, settings

    def group(self, title: str, *, about: str = "", table: str = "") -> argparse._ArgumentGroup:
        """Start a titled group of options, below a paragraph or the lines of a table."""
        paragraph = textwrap.fill(self._invocation.spelled(about), WIDTH - 2)
        return self.add_argument_group(title, paragraph or table or None)

    def flag(self, group: argparse._ArgumentGroup, name: str, *, default: bool, help: str) -> None:
        """Add an option that is on or off; help shows the form that changes the default.

        --NAME, --no-NAME, --noNAME, --NAME=true and --NAME=false are understood.
        """
        self._flags.add(name)
        for option, value in ((f"--{name}", True), (f"--no-{name}", False)):
            group.add_argument(
                option,
                dest=name,
                action="store_const",
                const=value,
                default=default,
                help=argparse.SUPPRESS if value == default else help,
            )

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the options, with the changed settings as `overrides`.

        Raises:
          ConfigError: an option or a setting is unknown, or a value does not fit.
        """
        rest, overrides = separate([self._plain(word) for word in words], self._form)
        args, rest = self.parse_known_args(rest)
        for word in rest:
            if word.startswith("--") and word != "--":
                self._unknown(word)
        args.overrides = overrides
        words = [word for word in rest if word != "--"]
        if self._words == "words":
            args.words = words
        elif words and not (self._words and getattr(args, self._words)):
            self.error(f"unexpected arguments: {' '.join(words)}")
        elif words:
            getattr(args, self._words).extend(words)
        return args

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found as a ConfigError of one line."""
        message = re.sub(r"^argument (\S+): ", r"\1: ", message)
        for known, reworded in _REWORDED.items():
            message = message.replace(known, reworded)
        raise ConfigError(f"{message}; see {self.prog} --help")

    def _unknown(self, word: str) -> NoReturn:
        option = word.split("=")[0]
        known = [
            name
            for action in self._actions
            if action.help != argparse.SUPPRESS
            for name in action.option_strings
        ]
        self.error(f"there is no option {option}; {meant(option, known)}")

    def _plain(self, word: str) -> str:
        """Return --noNAME, --NAME=true and --some-name as argparse knows them."""
        option, equals, value = word.partition("=")
        if not option.startswith("--") or "." in option:
            return word
        name = option[2:].replace("-", "_")
        positive = name.removeprefix("no").removeprefix("_")
        if name in self._flags or positive in self._flags:
            on = name in self._flags
            name = name if on else positive
            if equals:
                if value.lower() not in (*_TRUE, *_FALSE):
                    self.error(f"--{name}={value} must be true or false")
                on = on == (value.lower() in _TRUE)
            return f"--{name}" if on else f"--no-{name}"
        return f"--{name}{equals}{value}"


def required(value: Any, option: str, what: str, example: str) -> Any:
    """Return the value of an option that a command cannot do without.

    Raises:
      ConfigError: it was not given; the message says what it is, with an example.
    """
    if not value:
        raise ConfigError(f"{option} is missing: {what}, such as {example}")
    return value


def add_workdir(group: argparse._ArgumentGroup) -> None:
    """Add --workdir, the folder of a trained run."""
    group.add_argument("--workdir", metavar="DIR", help="folder of the run (required)")


def workdir_of(args: argparse.Namespace) -> str:
    """Return --workdir (raises ConfigError where it is missing)."""
    return required(args.workdir, "--workdir", "the folder of the run", "--workdir=runs/demo")


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a type for argparse: whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            limits = f"from {low} to {high}" if high is not None else f"of at least {low}"
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number {limits}")
        return value

    return read


def seeds_of(text: str) -> tuple[int, ...]:
    """Return seeds, "0,1,2" or "0-4", for argparse."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first, last if dash else first)
        if not all(end.strip().isdigit() for end in ends):
            raise argparse.ArgumentTypeError(f"{text!r} is no list of seeds, such as 0,1,2 or 0-4")
        found += range(int(ends[0]), int(ends[1]) + 1)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} names no seed")
    return tuple(found)


def number(low: float, high: float = math.inf) -> Callable[[str], float]:
    """Return a type for argparse: finite numbers from `low` to `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and low <= value <= high):
            limits = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is no number {limits}")
        return value

    return read
