"""Measure a trained run: effects beside baselines, quality of cells, network.

Writes report.html, tables and effects.h5ad (docs/evaluation.md).

    gpo-vae evaluate --workdir=runs/demo
    gpo-vae evaluate --workdir=runs/mine --networks TRRUST=trrust.tsv
"""

from __future__ import annotations

import argparse

from gpo_vae_jax.cli.arguments import CommandParser, add_workdir, workdir_of
from gpo_vae_jax.cli.invocation import Invocation
from gpo_vae_jax.cli.overrides import EVALUATION, merged
from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.config_io import from_dict

_SETTINGS = (
    "--evaluate.NAME=VALUE, such as --evaluate.memory_gib=8 on a large machine or "
    "--evaluate.top_sets=20,50 (a list). `gpo-vae settings evaluate` shows them all."
)


def define(parser: CommandParser) -> None:
    """Add the options."""
    parser.takes("--workdir=DIR [options]", words="networks", settings=EVALUATION)
    folder = parser.group("run")
    add_workdir(folder)
    folder.add_argument(
        "--data", metavar="FILE", default="", help="the prepared file, if it was moved"
    )
    folder.add_argument(
        "--output", metavar="DIR", default="", help="folder to write to (default: the run's)"
    )
    known = parser.group("known networks")
    known.add_argument(
        "--networks",
        metavar="NAME=FILE",
        nargs="+",
        action="extend",
        default=[],
        help="networks to compare with, one or more; NAME=FORMAT:FILE names the format",
    )
    parser.group("settings", about=_SETTINGS)


def run(args: argparse.Namespace, invocation: Invocation) -> None:
    """Evaluate, print the main numbers, and last the report's path."""
    workdir = workdir_of(args)
    settings = from_dict(merged({}, args.overrides), EvaluateConfig, "evaluate")
    from gpo_vae_jax.compilation_cache import use_compilation_cache
    from gpo_vae_jax.evaluate.terminal_table import terminal_table
    from gpo_vae_jax.runs.evaluated import evaluate_run

    use_compilation_cache()
    evaluation, paths = evaluate_run(
        workdir,
        settings,
        networks=args.networks,
        data_path=args.data,
        output=args.output,
    )
    print(terminal_table(evaluation.summary))
    print(invocation.total_time())
    print(paths[-1])
