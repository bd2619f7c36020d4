r"""Train GPO-VAE on a prepared file, or on simulated cells.

Settings, metrics and checkpoints go into the folder of the run (docs/data.md).

    gpo-vae train --preset demo --workdir=runs/demo
    gpo-vae train --preset anndata --data.path=PREPARED.h5ad \
        --workdir=runs/mine --train.max_epochs=200

Ctrl-C stops after the epoch in progress; --resume continues exactly from there,
and starts a run that was not started: it can stand in every job script.
Several seeds get a folder each under --workdir. Several devices share the work
as --devices.cells, --devices.genes and --devices.members say.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpo_vae_jax.cli.arguments import CommandParser, add_workdir, seeds_of, workdir_of
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
    folder.add_argument(
        "--seeds",
        metavar="0,1,2",
        type=seeds_of,
        help="train several seeds on one copy of the data",
    )
    folder.add_argument(
        "--wandb", metavar="PROJECT", default="", help="log every epoch to Weights & Biases"
    )
    parser.flag(
        folder,
        "distributed",
        default=False,
        help="join the other processes of this job (SLURM, Kubernetes, or the variables "
        "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID)",
    )
    add_settings(parser)


def run(args: argparse.Namespace, invocation: Invocation) -> int:
    """Train, and print how it ended; the status is 130 after an interruption."""
    config = config_of(args)
    # an agent of a wandb sweep starts the same command for every run
    workdir = workdir_of(args).replace("{run}", os.environ.get("WANDB_RUN_ID", "{run}"))
    if args.distributed:
        from gpo_vae_jax.runs.processes import join

        join()
    from gpo_vae_jax import data
    from gpo_vae_jax.compilation_cache import use_compilation_cache
    from gpo_vae_jax.model.heads import head_of
    from gpo_vae_jax.runs.fit import fit, fit_seeds
    from gpo_vae_jax.runs.processes import is_primary
    from gpo_vae_jax.runs.run_folder import RunFolder

    use_compilation_cache()
    head_of(config.model.likelihood_key)  # refused before the data is read
    if not args.seeds:
        RunFolder(workdir).check(resume=args.resume, overwrite=args.overwrite)
    listener = _wandb_listener(args, config, workdir) if args.wandb else None
    how = {"resume": args.resume, "overwrite": args.overwrite, "on_epoch": listener}
    dataset = data.from_config(config, shown=is_primary())
    if args.seeds:
        trained = fit_seeds(dataset, config, workdir, args.seeds, **how)
    else:
        trained = fit(dataset, config, workdir, **how)
    if not is_primary():
        return 130 if trained.interrupted else 0
    best = trained.best
    print(
        f"best validation loss {best.best_loss:.4f} in epoch {best.best_epoch} of {best.n_epochs}"
    )
    if trained.interrupted:
        print("interrupted; the same command with --resume continues")
    else:
        print(f"next: {invocation.command('evaluate')} --workdir={shlex.quote(workdir)}")
    print(invocation.total_time())
    return 130 if trained.interrupted else 0


def _wandb_listener(args: argparse.Namespace, config: Any, workdir: str) -> Callable[[Any], None]:
    """Return what tells wandb of every epoch of every seed."""
    from gpo_vae_jax.runs.processes import is_primary
    from gpo_vae_jax.runs.wandb_log import WandbLog

    folder, name = Path(workdir), Path(workdir).name
    seeds = args.seeds or (config.train.seed,)
    logs = [
        WandbLog(args.wandb, config, folder, name=f"{name} seed {seed}", group=name)
        for seed in seeds
    ]
    return lambda end: logs[end.member](end) if is_primary() else None
