"""Write the network that a run has learned, and what it says, into the run's folder.

    python scripts/export_grn.py --workdir=runs/demo

grn.csv is the matrix of edge probabilities (row regulates column); edges.csv lists all edges above
--threshold, and at least --top of them, from the most probable down; edges.graphml is the same list
for Cytoscape, Gephi or networkx; regulators.csv ranks genes by their targets. Where the true
network is known, it is compared with. On request (--networks and --gene as often as wanted):

    --networks TRRUST=trrust.tsv  known networks (docs/evaluation.md): known_networks.csv, and
                                  in edges.csv which edges are known
    --gene GATA1 --depth 2        what is downstream of a gene: neighbourhood_GATA1.csv
    --gmt hallmark.gmt            gene sets in which targets are rich: enrichment.csv (needs gseapy)
"""

from __future__ import annotations

import command_line
from absl import flags

from gpo_vae_jax.evaluate.knowledge import read_networks
from gpo_vae_jax.runs.export import export_network

WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run", required=True)
THRESHOLD = flags.DEFINE_float("threshold", 0.5, "an edge is called above this", 0.0, 1.0)
TOP = flags.DEFINE_integer("top", 200, "edges to list in any case", 0)
NETWORKS = flags.DEFINE_multi_string(
    "networks", [], "a known network, NAME=FILE or NAME=FORMAT:FILE; may be repeated"
)
SCORE = flags.DEFINE_integer("string_score", 700, "least combined score of STRING", 0, 1000)
GENES = flags.DEFINE_multi_string("gene", [], "list what is downstream of it; may be repeated")
DEPTH = flags.DEFINE_integer("depth", 2, "edges to go downstream", 1)
GMT = flags.DEFINE_string("gmt", None, "file of gene sets")


def export() -> None:
    """Export, and show the most probable edges."""
    lines = export_network(
        WORKDIR.value,
        threshold=THRESHOLD.value,
        at_least=TOP.value,
        networks=read_networks(NETWORKS.value, score=SCORE.value),
        genes=GENES.value,
        depth=DEPTH.value,
        gmt=GMT.value,
    )
    print("\n".join(lines))


if __name__ == "__main__":
    command_line.run(export)
