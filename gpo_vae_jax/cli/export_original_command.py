"""Write a run as a checkpoint of the PyTorch original.

torch.load(FILE, weights_only=True)["state_dict"] has the original's names of
tensors. Only models that the original has can be written: latent effects, as in
the presets published, rpe1, replogle and adamson. PyTorch is not needed.

    gpo-vae export-original --workdir=runs/mine --output=mine.ckpt
"""

from __future__ import annotations

import argparse

from gpo_vae_jax.cli.arguments import CommandParser, add_workdir, required, workdir_of
from gpo_vae_jax.cli.invocation import Invocation


def define(parser: CommandParser) -> None:
    """Add the options."""
    parser.takes("--workdir=DIR --output=FILE [options]")
    files = parser.group("files")
    add_workdir(files)
    files.add_argument("--data", metavar="FILE", default="", help="the prepared file, if it was "
                       "moved")  # fmt: skip
    files.add_argument("--output", metavar="FILE", help="the .ckpt to write (required)")


def run(args: argparse.Namespace, invocation: Invocation) -> None:
    """Write the checkpoint."""
    del invocation
    workdir = workdir_of(args)
    output = required(args.output, "--output", "the .ckpt to write", "--output=mine.ckpt")
    from gpo_vae_jax.original.exchange import export_checkpoint
    from gpo_vae_jax.runs.saved import load_with_data

    trained, dataset = load_with_data(workdir, args.data)
    export_checkpoint(trained, dataset, output)
    print(f"wrote {output}")
