"""Download a published data set: rpe1, replogle, adamson or summary_stats.

An interrupted download continues where it stopped. Needs gdown:
pip install 'gpo-vae-jax[download]'.

    gpo-vae download rpe1 summary_stats --folder=data
"""

from __future__ import annotations

import argparse

from gpo_vae_jax.cli.arguments import CommandParser
from gpo_vae_jax.cli.invocation import Invocation
from gpo_vae_jax.config_io import meant
from gpo_vae_jax.errors import ConfigError


def define(parser: CommandParser) -> None:
    """Add the options."""
    parser.takes("NAME ... [options]", words="words")
    files = parser.group("files")
    files.add_argument(
        "--folder", metavar="DIR", default="data", help="folder to write to (default: data)"
    )


def run(args: argparse.Namespace, invocation: Invocation) -> None:
    """Fetch each data set, and print what came."""
    del invocation
    from gpo_vae_jax.data.download.sources import SOURCES, fetch

    if not args.words:
        raise ConfigError(f"name what to download: {', '.join(SOURCES)}")
    for name in args.words:
        if name not in SOURCES:
            raise ConfigError(f"there is no data set {name!r}; {meant(name, SOURCES)}")
    for name in args.words:
        for path in fetch(name, args.folder, progress=lambda said: print(said, flush=True)):
            print(f"{name}: {path} ({path.stat().st_size / 2**20:,.0f} MiB)")
