r"""Train a grid of settings and seeds; one run each, one table.

    gpo-vae sweep --preset demo --grid objective.invariance_coeff=1,3 \
        --grid train.learning_rate=0.003,0.005 --seeds 0-2 --workdir=runs/sweep
    gpo-vae sweep --config=configs/sweeps/rpe1.py --data.path=rpe1.h5ad \
        --workdir=runs/rpe1_seeds

The same command goes on where it stopped; with a larger grid it runs what is
new. Members that differ only in numbers share one program.
"""

from __future__ import annotations

import argparse
import ast
import shlex
from collections.abc import Mapping
from typing import Any

from gpo_vae_jax.cli.arguments import CommandParser, add_workdir, seeds_of, whole_number, workdir_of
from gpo_vae_jax.cli.invocation import Invocation
from gpo_vae_jax.cli.overrides import RUN
from gpo_vae_jax.cli.settings_arguments import add_settings, config_of, grid_of_file
from gpo_vae_jax.errors import ConfigError


def define(parser: CommandParser) -> None:
    """Add the options."""
    parser.takes("--preset NAME --grid GROUP.NAME=A,B --workdir=DIR [options]", settings=RUN)
    sweep = parser.group("sweep")
    add_workdir(sweep)
    sweep.add_argument(
        "--grid",
        metavar="GROUP.NAME=A,B",
        action="append",
        default=[],
        help="values of a setting; may be repeated: every combination is trained",
    )
    sweep.add_argument(
        "--seeds", metavar="0,1,2", type=seeds_of, help="seeds of every combination (0-4: five)"
    )
    parser.flag(sweep, "evaluate", default=False, help="evaluate every run that has finished")
    sweep.add_argument(
        "--only", metavar="NAME", action="append", default=[], help="train these members only"
    )
    parser.flag(sweep, "list", default=False, help="begin the sweep, print its members, and end")
    how = parser.group("where it runs")
    how.add_argument(
        "--jobs",
        metavar="N",
        type=whole_number(1),
        default=1,
        help="processes that train at once, on a CPU (default: 1)",
    )
    how.add_argument(
        "--executor",
        metavar="NAME",
        default="",
        help='run members as redun tasks with an executor of redun.ini; "default": this machine',
    )
    how.add_argument("--redun-config", metavar="DIR", default="", help="the folder of redun.ini")
    how.add_argument(
        "--wandb", metavar="PROJECT", default="", help="log every epoch to Weights & Biases"
    )
    add_settings(parser)


def run(args: argparse.Namespace, invocation: Invocation) -> int:
    """Train what is missing, and print the table; the status is 1 if a member failed."""
    workdir = workdir_of(args)
    from gpo_vae_jax.runs.sweeps.sweep_folder import SEED, Sweep, SweepFolder

    folder = SweepFolder(workdir)
    if args.preset or args.config or args.grid:
        folder.claim(Sweep.of(config_of(args), _grid(args)))
    sweep = folder.read()  # otherwise the one that is there
    if args.list:
        print("\n".join(sweep.names()))
        return 0
    from gpo_vae_jax.compilation_cache import use_compilation_cache
    from gpo_vae_jax.runs.sweeps import sweep_run, sweep_table

    use_compilation_cache()
    more = [f"--wandb={args.wandb}"] if args.wandb else []
    if args.executor:
        from gpo_vae_jax.runs.sweeps.redun_tasks import run_with_redun

        interrupted = run_with_redun(
            folder, executor=args.executor, ini=args.redun_config, more=more
        )
    elif args.jobs > 1:
        interrupted = sweep_run.run_in_processes(folder, args.jobs, more)
    else:
        interrupted = _train_here(folder, sweep.base, args)
    if args.only:  # a part of a sweep: whoever started it writes the table
        return sweep_run.INTERRUPTED if interrupted else 0
    if args.evaluate and not interrupted:
        _evaluate(folder)
    table, summary = sweep_table.write_table(folder)
    settings = [path for path in sweep.grid if path != SEED]
    print("\n".join(sweep_table.in_words(table, summary, settings)))
    print(f"{workdir}/{sweep_table.TABLE}: {len(table)} runs")
    print(f"{workdir}/{sweep_table.SUMMARY}: {len(summary)} settings, over seeds")
    if interrupted:
        print("interrupted; the same command goes on")
    print(invocation.total_time())
    if interrupted:
        return sweep_run.INTERRUPTED
    return int((table["status"] == sweep_table.FAILED).any())


def _train_here(folder: Any, base: Any, args: argparse.Namespace) -> bool:
    from gpo_vae_jax import data
    from gpo_vae_jax.runs.sweeps.sweep_run import run_sweep
    from gpo_vae_jax.runs.wandb_log import WandbLog

    def listener(name: str, config: Any) -> Any:
        if not args.wandb:
            return None
        return WandbLog(
            args.wandb, config, folder.member(name).path, name=name, group=folder.path.name
        )

    names = args.only or folder.read().names()
    if all(folder.has_finished(name) for name in names):
        return False  # the data is not read for nothing
    return run_sweep(folder, data.from_config(base), only=args.only, listeners=listener)


def _evaluate(folder: Any) -> None:
    from gpo_vae_jax.evaluate import file_names
    from gpo_vae_jax.runs.evaluated import evaluate_run

    for name in folder.read().names():
        run = folder.member(name)
        if folder.has_finished(name) and not (run.path / file_names.EVALUATION).exists():
            evaluate_run(run.path, progress=False)


def _grid(args: argparse.Namespace) -> Mapping[str, Any]:
    """Return the grid of the file and of the command line, which comes second (ConfigError)."""
    grid = dict(grid_of_file(args.config)) if args.config else {}
    for word in args.grid:
        path, equals, text = word.partition("=")
        path = path.strip().removeprefix("--").removeprefix("config.")
        if not equals or "." not in path or not text:
            raise ConfigError(
                f"--grid {shlex.quote(word)} names no setting and values; write "
                "--grid objective.penalty_coeff=1,5,10"
            )
        grid[path] = tuple(_value(part.strip()) for part in text.split(","))
    if args.seeds:
        grid["train.seed"] = args.seeds
    return grid


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False}.get(text.lower(), text)
