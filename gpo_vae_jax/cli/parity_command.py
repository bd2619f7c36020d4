"""Check recorded runs of the PyTorch original against this implementation.

Prints a line for each file; the exit status is 0 only if all of them agree.

    gpo-vae parity tests/golden/loss_*.npz tests/golden/train_*.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gpo_vae_jax.cli.arguments import CommandParser, required
from gpo_vae_jax.cli.invocation import Invocation
from gpo_vae_jax.errors import DataError


def define(parser: CommandParser) -> None:
    """Add the options: there are none."""
    parser.takes("FILE.npz ...", words="words")


def run(args: argparse.Namespace, invocation: Invocation) -> int:
    """Check each file, and print how far it is off."""
    del invocation
    files = required(args.words, "FILE.npz", "the recorded runs", "tests/golden/loss_base.npz")
    from gpo_vae_jax.parity import check

    names = [Path(file).name for file in files]
    width = max(map(len, names))
    print(f"{'file':{width}}  {'loss':>8}  {'worst':>8}  ok    worst at")
    failures = 0
    for file, name in zip(files, names, strict=True):
        try:
            result = check(file)
        except DataError as error:
            print(f"{name:{width}}  {error}")
            failures += 1
            continue
        failures += not result.passed
        verdict = "ok  " if result.passed else "FAIL"
        note = f" ({result.note})" if result.note else ""
        print(
            f"{name:{width}}  {result.loss_error:8.1e}  {result.worst_error:8.1e}  {verdict}  "
            f"{result.worst_name}{note}",
            flush=True,
        )
    print(f"{len(files) - failures} of {len(files)} files agree")
    return 1 if failures else 0
