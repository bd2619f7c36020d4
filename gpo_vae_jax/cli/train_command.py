r"""Train GPO-VAE on a prepared file, or on simulated cells.

Settings, metrics and checkpoints go into the folder of the run (docs/data.md).

    gpo-vae train --preset demo --workdir=runs/demo
    gpo-vae train --preset anndata --data.path=PREPARED.h5ad \
        --workdir=runs/mine --train.max_epochs=200

Ctrl-C stops after the epoch in progress; --resume continues exactly from there.
"""

from __future__ import annotations

import argparse
import shlex

from gpo_vae_jax.cli.arguments import CommandParser, add_workdir, workdir_of
from gpo_vae_jax.cli.invocation import Invocation
from gpo_vae_jax.cli.overrides import RUN
from gpo_vae_jax.cli.settings_arguments import add_settings, config_of


def define(parser: CommandParser) -> None:
    """Add the options."""
    parser.takes("--preset NAME --workdir=DIR [options]", settings=RUN)
    folder = parser.group("run")
    add_workdir(folder)
    parser.flag(folder, "resume", default=False, help="continue the run in --workdir")
    parser.flag(folder, "overwrite", default=False, help="replace the run in --workdir")
    add_settings(parser)


def run(args: argparse.Namespace, invocation: Invocation) -> int:
    """Train, and print how it ended; the status is 130 after an interruption."""
    config, workdir = config_of(args), workdir_of(args)
    from gpo_vae_jax import data
    from gpo_vae_jax.compilation_cache import use_compilation_cache
    from gpo_vae_jax.model.heads import head_of
    from gpo_vae_jax.runs.fit import fit

    use_compilation_cache()
    head_of(config.model.likelihood_key)  # refused before the data is read
    dataset = data.from_config(config, shown=True)
    trained = fit(dataset, config, workdir, resume=args.resume, overwrite=args.overwrite)
    best = trained.best
    print(
        f"best validation loss {best.best_loss:.4f} in epoch {best.best_epoch} of {best.n_epochs}"
    )
    if best.interrupted:
        print("interrupted; the same command with --resume continues")
    else:
        print(f"next: {invocation.command('evaluate')} --workdir={shlex.quote(workdir)}")
    print(invocation.total_time())
    return 130 if best.interrupted else 0
