r"""Make a run of a checkpoint of the PyTorch original.

evaluate, predict, compare and export-grn then work on it as on any run. Nothing
in the checkpoint is executed, and PyTorch is not needed.

    gpo-vae import-original --checkpoint=best.ckpt --data=PREPARED.h5ad \
        --output=runs/theirs

Settings are those in the checkpoint, or in the original's YAML (--config).
Genes are matched by name.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from pathlib import Path

from gpo_vae_jax.cli.arguments import CommandParser, required
from gpo_vae_jax.cli.invocation import Invocation
from gpo_vae_jax.errors import ConfigError


def define(parser: CommandParser) -> None:
    """Add the options."""
    parser.takes("--checkpoint=FILE --data=FILE --output=DIR")
    files = parser.group("files")
    files.add_argument("--checkpoint", metavar="FILE", help="a .ckpt or .pt file (required)")
    files.add_argument("--data", metavar="FILE", help="the prepared file (required)")
    files.add_argument("--output", metavar="DIR", help="folder of the run to write (required)")
    files.add_argument("--config", metavar="FILE", help="the original's YAML, in place of the "
                       "settings in the checkpoint")  # fmt: skip
    parser.flag(files, "overwrite", default=False, help="replace the run in --output")
    names = parser.group("names, one in each line, in the order of the checkpoint")
    names.add_argument("--genes", metavar="FILE", help="genes, in place of the checkpoint's own")
    names.add_argument("--treatments", metavar="FILE", help="dosage columns; by default those of "
                       "the data in its order")  # fmt: skip


def run(args: argparse.Namespace, invocation: Invocation) -> None:
    """Read, convert, write the run, and say what was assumed."""
    source = _file(args.checkpoint, "--checkpoint", "the original's checkpoint", "best.ckpt")
    data_path = _file(args.data, "--data", "the prepared file", "PREPARED.h5ad")
    output = required(args.output, "--output", "the folder of the run", "--output=runs/theirs")
    names = {option: _names(getattr(args, option), option) for option in ("genes", "treatments")}
    from gpo_vae_jax import data
    from gpo_vae_jax.original.checkpoint import read_checkpoint
    from gpo_vae_jax.original.exchange import import_checkpoint
    from gpo_vae_jax.original.yaml_settings import read_yaml
    from gpo_vae_jax.runs.saved import save

    settings = read_yaml(args.config) if args.config else None
    found = read_checkpoint(source)
    dataset = data.load(data_path)
    trained, notes = import_checkpoint(found, dataset, settings=settings, **names)
    where = dataclasses.replace(trained.config.data, path=str(data_path), simulated=False)
    trained = dataclasses.replace(trained, config=dataclasses.replace(trained.config, data=where))
    save(trained, output, overwrite=args.overwrite)
    for note in notes:
        print(f"note: {note}")
    print(
        f"{len(trained.genes):,} genes, {len(trained.treatments):,} treatments "
        f"({trained.n_perturbed:,} perturbed), latent size {trained.config.model.n_latent}"
    )
    print(f"next: {invocation.command('evaluate')} --workdir={shlex.quote(output)}")


def _file(value: str | None, option: str, what: str, example: str) -> Path:
    path = Path(required(value, option, what, f"{option}={example}"))
    if not path.is_file():
        raise ConfigError(f"{option}: there is no file {str(path)!r}")
    return path


def _names(value: str | None, option: str) -> tuple[str, ...]:
    if not value:
        return ()
    lines = _file(value, f"--{option}", "names", "names.txt").read_text().splitlines()
    return tuple(line.strip() for line in lines if line.strip())
