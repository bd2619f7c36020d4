"""A known network, and its edges mapped onto the treatments."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.evaluate.knowledge.formats import READERS, UNDIRECTED, recognise
from gpo_vae_jax.evaluate.knowledge.names import positions

UNION = "union"
SIGN_NAMES = ("unknown", "activation", "repression", "both")  # by PlacedNetwork.sign
_BITS = {"activation": 1, "+": 1, "1": 1, "1.0": 1, "+1": 1, "positive": 1, "up": 1}
_BITS |= {"repression": 2, "-": 2, "-1": 2, "-1.0": 2, "negative": 2, "down": 2, "inhibition": 2}
_NONE: Mapping[str, str] = {}


@dataclasses.dataclass(frozen=True)
class KnownNetwork:
    """A network as its source describes it."""

    name: str
    kind: str  # the format: a name of READERS
    edges: pd.DataFrame  # source, target, sign: text
    genes: frozenset[str]  # all that the source mentions

    @property
    def directed(self) -> bool:
        """Return whether edges have a direction."""
        return self.kind not in UNDIRECTED


@dataclasses.dataclass(frozen=True)
class PlacedNetwork:
    """A known network over the T treatments."""

    name: str
    adjacency: np.ndarray  # [T, T] bool, row regulates column; the diagonal is False
    sign: np.ndarray  # [T, T] int8: 0 unknown, 1 activation, 2 repression, 3 both
    covered: np.ndarray  # [T] bool: the source mentions the gene


def read_network(
    name: str,
    path: str | os.PathLike[str],
    kind: str = "",
    *,
    names_path: str | os.PathLike[str] | None = None,
    score: int = 700,
) -> KnownNetwork:
    """Read a known network.

    Args:
      name: what the results call the network.
      path: its file.
      kind: the format, a key of `READERS`; by default it is recognised by the content.
      names_path: STRING's protein.info file; by default it is looked for beside the links.
      score: the smallest combined score of a STRING link, 0 to 1000.

    Raises:
      ConfigError: the format does not exist.
      DataError: the file is missing, cannot be read, has no known format, or contains no edge.
    """
    if kind and kind not in READERS:
        formats = ", ".join(READERS)
        raise ConfigError(f"known network {name}: {kind!r} is not a format; use one of {formats}")
    path = Path(path)
    try:
        kind = kind or recognise(path)
        if kind == "string":
            names = None if names_path is None else Path(names_path)
            table = READERS[kind](path, names=names, score=score)
        else:
            table = READERS[kind](path)
    except DataError as error:
        raise DataError(f"known network {name}: {error}") from error
    except (KeyError, IndexError, ValueError) as error:  # a column that the format needs is missing
        raise DataError(f"known network {name}: {path} is not of format {kind!r}: {error}") from (
            error
        )
    if not len(table.edges):
        raise DataError(f"known network {name}: {path}, read as {kind!r}, contains no edge")
    return KnownNetwork(name, kind, table.edges, table.genes)


def read_networks(specs: Sequence[str], *, score: int = 700) -> list[KnownNetwork]:
    """Read networks given as on the command line: NAME=[FORMAT:]FILE[,NAMES_FILE].

    Raises:
      ConfigError: a text has another form, or a name occurs twice.
      DataError: a file cannot be read (`read_network`).
    """
    found: dict[str, KnownNetwork] = {}
    for spec in specs:
        name, equals, rest = spec.partition("=")
        if not (name and equals and rest):
            raise ConfigError(
                f"a known network is given as NAME=FILE, such as TRRUST=x.tsv, not {spec!r}"
            )
        if name in found or name == UNION:
            raise ConfigError(f"known networks: the name {name!r} is taken; choose another")
        kind, colon, path = rest.partition(":")
        if not colon or kind not in READERS:
            kind, path = "", rest
        if kind != "string" or Path(path).is_file():
            names_path = None
        else:
            path, comma, names = path.partition(",")
            names_path = names if comma else None
        found[name] = read_network(name, path, kind, names_path=names_path, score=score)
    return list(found.values())


def place(
    network: KnownNetwork, treatments: Sequence[str], aliases: Mapping[str, str] = _NONE
) -> PlacedNetwork:
    """Map a known network onto the treatments by name (`names.positions`).

    Raises:
      DataError: the network contains none of the treatments.
    """
    at = positions(network.genes, treatments, aliases)
    if not at:
        raise DataError(
            f"known network {network.name}: none of its {len(network.genes)} genes (such as "
            f"{', '.join(sorted(network.genes)[:3])}) is one of the {len(treatments)} treatments "
            f"(such as {', '.join(list(map(str, treatments))[:3])}); the prepared file's var may "
            "contain symbols or Ensembl ids in a column such as gene_name or gene_id"
        )
    n = len(treatments)
    covered = np.zeros(n, bool)
    covered[list(at.values())] = True
    edges = network.edges
    row = np.array([at.get(gene, -1) for gene in edges["source"]])
    column = np.array([at.get(gene, -1) for gene in edges["target"]])
    bits = np.array([_BITS.get(sign, 0) for sign in edges["sign"]], np.int8)
    here = (row >= 0) & (column >= 0)
    row, column, bits = row[here], column[here], bits[here]
    adjacency, sign = np.zeros((n, n), bool), np.zeros((n, n), np.int8)
    adjacency[row, column] = True
    np.bitwise_or.at(sign, (row, column), bits)
    if not network.directed:
        adjacency |= adjacency.T
        sign |= sign.T
    np.fill_diagonal(adjacency, False)
    return PlacedNetwork(network.name, adjacency, np.where(adjacency, sign, 0), covered)


def union(networks: Sequence[PlacedNetwork]) -> PlacedNetwork:
    """Return the network with the edges of all networks."""
    return PlacedNetwork(
        UNION,
        np.any([network.adjacency for network in networks], axis=0),
        np.bitwise_or.reduce([network.sign for network in networks]),
        np.any([network.covered for network in networks], axis=0),
    )
