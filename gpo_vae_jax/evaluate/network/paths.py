"""Lengths of the shortest paths through a network."""

from __future__ import annotations

import numpy as np

_BYTES = 1 << 26  # of rows that are searched together


def path_lengths(edges: np.ndarray, n_sources: int, max_length: int | None = None) -> np.ndarray:
    """Return the number of edges on the shortest path from each source to each node, int32.

    Args:
      edges: [T, T] bool, row to column; self edges are ignored.
      n_sources: paths start at the first `n_sources` nodes; they may lead anywhere.
      max_length: longer paths are not searched for.

    Returns:
      [n_sources, T]: 0 on the diagonal, -1 where there is no path.
    """
    # Breadth-first search from many sources at once: what a source reaches next is the union of the
    # rows of the nodes it has just reached, 64 nodes to a word. Every (source, node) pair is
    # expanded once.
    n_nodes = len(edges)
    words = -(-n_nodes // 64)
    rows = np.zeros((n_nodes, words * 64), bool)
    rows[:, :n_nodes] = edges
    rows = np.packbits(rows, axis=1).view(np.uint64)
    lengths = np.full((n_sources, n_nodes), -1, np.int32)
    step = max(1, _BYTES // (8 * words * max(1, n_nodes)))
    for start in range(0, n_sources, step):
        _search(rows, lengths[start : start + step], start, max_length)
    return lengths


def _search(rows: np.ndarray, lengths: np.ndarray, first: int, max_length: int | None) -> None:
    """Fill in the lengths, [n, T], of the paths from nodes first, first + 1, ..."""
    n_nodes = lengths.shape[1]
    source = np.arange(len(lengths))
    node = source + first
    lengths[source, node] = 0
    length = 0
    while len(source) and (max_length is None or length < max_length):
        length += 1
        begins = np.flatnonzero(np.append(True, source[1:] != source[:-1]))
        union = np.bitwise_or.reduceat(rows[node], begins, axis=0)
        reached = np.unpackbits(union.view(np.uint8), axis=1, count=n_nodes).view(bool)
        searching = source[begins]
        which, node = np.nonzero(reached & (lengths[searching] < 0))
        source = searching[which]
        lengths[source, node] = length
        left = np.any(lengths < 0, axis=1)[source]  # sources that have reached all nodes are done
        source, node = source[left], node[left]
