r"""Write the network that a run has learned into the run's folder.

grn.csv (probability of every edge), edges.csv and edges.graphml (edges, most
probable first), regulators.csv (genes by their targets): docs/evaluation.md.

    gpo-vae export-grn --workdir=runs/demo --fdr=0.1
    gpo-vae export-grn --workdir=runs/mine --gene=GATA1 --depth=2 \
        --networks TRRUST=trrust.tsv --gmt=hallmark.gmt

The network of simulated data is compared with the true one.
"""

from __future__ import annotations

import argparse

from gpo_vae_jax.cli.arguments import CommandParser, add_workdir, number, whole_number, workdir_of
from gpo_vae_jax.cli.invocation import Invocation
from gpo_vae_jax.errors import ConfigError


def define(parser: CommandParser) -> None:
    """Add the options."""
    parser.takes("--workdir=DIR [options]")
    edges = parser.group("edges")
    add_workdir(edges)
    edges.add_argument(
        "--threshold",
        metavar="P",
        type=number(0, 1),
        help="an edge is called above this probability (default: 0.5)",
    )
    edges.add_argument(
        "--fdr",
        metavar="Q",
        type=number(0, 1),
        help="call edges by their calibrated probability instead, so many that the share Q of them "
        "is expected to be wrong, such as 0.1; edges.csv gains posterior and called",
    )
    edges.add_argument(
        "--top",
        metavar="N",
        type=whole_number(0),
        default=200,
        help="most probable edges to list in any case (default: 200)",
    )
    more = parser.group("on request")
    more.add_argument(
        "--networks",
        metavar="NAME=FILE",
        nargs="+",
        action="extend",
        default=[],
        help="known networks, NAME=FILE or NAME=FORMAT:FILE: writes known_networks.csv, and marks "
        "known edges in edges.csv",
    )
    more.add_argument(
        "--string_score",
        metavar="N",
        type=whole_number(0, 1000),
        default=700,
        help="least combined score of an edge of STRING (default: 700)",
    )
    more.add_argument(
        "--gene",
        metavar="NAME",
        nargs="+",
        action="extend",
        default=[],
        help="genes whose downstream genes are listed: writes neighbourhood_NAME.csv",
    )
    more.add_argument(
        "--depth",
        metavar="N",
        type=whole_number(1),
        default=2,
        help="edges to follow downstream of --gene (default: 2)",
    )
    more.add_argument(
        "--gmt",
        metavar="FILE",
        help="gene sets in which targets are enriched: writes enrichment.csv (needs gseapy)",
    )


def run(args: argparse.Namespace, invocation: Invocation) -> None:
    """Export, and print the most probable edges."""
    del invocation
    workdir = workdir_of(args)
    if args.fdr is not None and args.threshold is not None:
        raise ConfigError("--fdr and --threshold both decide which edges are called: give one")
    from gpo_vae_jax.evaluate.knowledge import read_networks
    from gpo_vae_jax.runs.export import export_network

    lines = export_network(
        workdir,
        threshold=0.5 if args.threshold is None else args.threshold,
        fdr=args.fdr,
        at_least=args.top,
        networks=read_networks(args.networks, score=args.string_score),
        genes=args.gene,
        depth=args.depth,
        gmt=args.gmt,
    )
    print("\n".join(lines))
