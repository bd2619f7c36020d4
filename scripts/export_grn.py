"""Write the network that a run has learned: grn.csv, edges.csv and edges.graphml in its folder.

    python scripts/export_grn.py --workdir=runs/demo

grn.csv is the matrix of edge probabilities (row regulates column); edges.csv lists all edges above
--threshold, and at least --top of them, from the most probable down; edges.graphml is the same list
for Cytoscape, Gephi or networkx. Where the true network is known, it is compared with.
"""

from __future__ import annotations

import command_line
from absl import flags

from gpo_vae_jax.evaluate.export import export_network

WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run", required=True)
THRESHOLD = flags.DEFINE_float("threshold", 0.5, "an edge is called above this", 0.0, 1.0)
TOP = flags.DEFINE_integer("top", 200, "edges to list in any case", 0)


def export() -> None:
    """Export, and show the most probable edges."""
    lines = export_network(WORKDIR.value, threshold=THRESHOLD.value, at_least=TOP.value)
    print("\n".join(lines))


if __name__ == "__main__":
    command_line.run(export)
