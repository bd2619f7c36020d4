r"""Turn raw counts into the prepared file that training reads.

Quality control, splits, matched controls and network genes: docs/data.md.

    gpo-vae prepare --preset anndata --input=RAW.h5ad --output=PREPARED.h5ad
    gpo-vae prepare --preset anndata --input=RAW.h5ad --output=PREPARED.h5ad \
        --prepare.perturbation_key=gene --prepare.control=ctrl
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gpo_vae_jax.cli.arguments import CommandParser, required
from gpo_vae_jax.cli.invocation import Invocation
from gpo_vae_jax.cli.overrides import RUN, Override
from gpo_vae_jax.cli.settings_arguments import add_settings, as_given, config_of
from gpo_vae_jax.config import Config


def define(parser: CommandParser) -> None:
    """Add the options."""
    parser.takes("--preset NAME --input=FILE --output=FILE [options]", settings=RUN)
    files = parser.group("files")
    files.add_argument(
        "--input",
        metavar="FILE",
        nargs="+",
        help="raw counts: h5ad, 10x .h5 or folder, h5mu, zarr, loom; several files of one screen "
        "are joined (required)",
    )
    files.add_argument("--output", metavar="FILE", help="prepared h5ad to write (required)")
    labels = parser.group("labels")
    labels.add_argument(
        "--control",
        metavar="LABEL",
        nargs="+",
        help="labels of control cells, or patterns such as 'NT-*'; the same as "
        "--prepare.control and --prepare.more_controls",
    )
    add_settings(parser)


def run(args: argparse.Namespace, invocation: Invocation) -> None:
    """Check, prepare, write and sum up."""
    if args.control:
        named = (("control", args.control[0]), ("more_controls", tuple(args.control[1:])))
        args.overrides += [Override(("prepare", name), value) for name, value in named]
    config = config_of(args)
    source = required(args.input, "--input", "the h5ad with raw counts", "--input=RAW.h5ad")
    target = required(
        args.output, "--output", "the prepared h5ad to write", "--output=PREPARED.h5ad"
    )
    held_out = prepare(config, [Path(file) for file in source], Path(target), invocation)
    print(
        f"next: {invocation.command('train')} {as_given(args)} "
        f"--data.path={shlex.quote(target)} --workdir=runs/{config.name}"
    )
    print(invocation.total_time(), flush=True)
    for note in held_out:
        print(f"note: {note}", file=sys.stderr)


def prepare(
    config: Config, source: Sequence[Path], target: Path, invocation: Invocation
) -> list[str]:
    """Prepare `source` into `target`, and print the stages and a summary.

    Returns:
      What a column of splits holds out, which is not printed with the other notes.
    """
    from gpo_vae_jax import data

    start = time.perf_counter()
    begun: list[tuple[float, str]] = []

    def progress(said: str) -> None:
        now = time.perf_counter() - start
        print(f"[{now:6.1f} s] {invocation.spelled(said)}", flush=True)
        if not said.startswith(("note: ", "memory: ")):
            begun.append((now, said))

    prepared = data.prepare_file(
        source, target, config.prepare, progress, guess=config.name == "anndata"
    )
    ended = [now for now, _ in begun[1:]]
    seconds = {name: end - now for (now, name), end in zip(begun, ended, strict=False)}
    print(data.table(prepared, seconds))
    for what, number in data.summary(prepared):
        print(f"  {what:40} {number:>12}")
    notes = data.notes(prepared)
    held_out = [note for note in notes if "config.prepare.split_key" in note]
    for note in notes:
        if note not in held_out:
            print(f"note: {invocation.spelled(note)}")
    return [invocation.spelled(note) for note in held_out]
