"""Readers of known-network files, and recognition of their formats.

Every reader returns a `Table`: rows of source, target and sign ("" if the format has none), and all
genes that the file mentions, including those without an edge.
"""

from __future__ import annotations

import csv
import itertools
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.evaluate.knowledge.known_file import first_lines, opened

SIGNS = ("activation", "repression")
_HUMAN = "9606"
_ROWS = 500_000  # read at a time
_SOURCES = ("source", "from", "regulator", "regulatorsymbol", "tf", "gene1", "genea", "parent")
_TARGETS = ("target", "to", "targetsymbol", "gene", "gene2", "geneb", "child")
_SIGN = ("sign", "effect", "mor", "regulation", "mode", "weight")


class Table(NamedTuple):
    """The contents of a file."""

    edges: pd.DataFrame  # source, target, sign: text
    genes: frozenset[str]


def recognise(path: str | os.PathLike[str]) -> str:
    """Return the format of a file, a key of `READERS`, judged by its first lines.

    Raises:
      DataError: the file is empty or its format is not recognised.
    """
    lines = first_lines(path)
    if not lines:
        raise DataError(f"{str(path)!r} is empty")
    header = {_plain(cell) for cell in re.split(r"[\t, ;]", lines[0])}
    tabs = [line.split("\t") for line in lines]
    columns = {_plain(cell) for cell in tabs[0]}
    if {"officialsymbolinteractora", "officialsymbolinteractorb"} <= columns:
        return "biogrid"
    if "subunitsgenename" in columns:
        return "corum"
    if {"protein1", "protein2"} <= header or {"node1", "node2"} <= header:
        return "string"
    widths = {len(row) for row in tabs}
    if widths == {4}:
        if all(row[2].lower() in (*SIGNS, "unknown") for row in tabs):
            return "trrust"
        if all(re.fullmatch(r"\d+|MI(MAT)?\d+", row[1]) for row in tabs):
            return "regnetwork"
    if min(widths) > 2 and all(not row[1].strip() or "://" in row[1] for row in tabs):
        return "gmt"
    if min(widths) > 2 and len(widths) > 2 and Path(path).name.lower().endswith(".gmt"):
        return "gmt"
    if all(len(re.split(r"[\t,; ]+", line.strip())) > 1 for line in lines):
        return "edges"
    raise DataError(
        f"the format of {str(path)!r} is not recognised: it starts with {lines[0][:60]!r}; "
        f"state the format as NAME=FORMAT:FILE, one of {', '.join(READERS)}"
    )


def read_trrust(path: Path) -> Table:
    """Read TRRUST: regulator, target, Activation / Repression / Unknown, PubMed ids."""
    return _edges(_csv(path, header=None, usecols=[0, 1, 2], names=["source", "target", "sign"]))


def read_regnetwork(path: Path) -> Table:
    """Read RegNetwork: regulator, its id, target, its id; no header."""
    return _edges(_csv(path, header=None, usecols=[0, 2], names=["source", "target"]))


def read_gmt(path: Path) -> Table:
    """Read complexes or gene sets, one per line: all pairs of members are edges."""
    return _pairs(gene_sets(path).values())


def read_corum(path: Path) -> Table:
    """Read CORUM's table of human complexes: all pairs of subunits of a complex are edges."""
    table = _csv(path)
    table.columns = [_plain(str(name)) for name in table.columns]
    if "organism" in table and (table["organism"].str.lower() == "human").any():
        table = table[table["organism"].str.lower() == "human"]
    return _pairs(_members(re.split(r"[;|]", text)) for text in table["subunitsgenename"])


def read_biogrid(path: Path) -> Table:
    """Read BioGRID tab 2 or tab 3: human interactions of any kind, by official symbol."""
    wanted = r"#?\s*(official symbol|organism( id)?) interactor [ab]"
    parts = []
    for part in _chunks(path, usecols=lambda name: bool(re.fullmatch(wanted, name.lower()))):
        columns = [_plain(str(name)).replace("organismid", "organism") for name in part.columns]
        part.columns = columns
        organisms = [name for name in columns if name.startswith("organism")]
        part["human"] = (part[organisms] == _HUMAN).all(axis=1)
        parts.append(part)
    table = pd.concat(parts)
    table = table[table["human"]] if table["human"].any() else table
    return _edges(table[["officialsymbolinteractora", "officialsymbolinteractorb"]])


def read_string(path: Path, names: Path | None = None, score: int = 700) -> Table:
    """Read STRING links whose combined score is at least `score` (0 to 1000).

    The file `names` (protein.info) maps protein ids to names; by default it is looked for beside
    the links under STRING's name for it, and without it proteins keep their ids. Exports of the
    STRING website (node1, node2) contain names already.
    """
    separator = "\t" if "\t" in first_lines(path, 1)[0] else " "
    wanted = ("protein1", "protein2", "node1", "node2", "combinedscore")
    parts = []
    for part in _chunks(path, sep=separator, usecols=lambda name: _plain(name) in wanted):
        part.columns = [_plain(str(name)) for name in part.columns]
        if "combinedscore" in part:
            values = pd.to_numeric(part["combinedscore"])
            scale = 1000 if part["combinedscore"].str.contains(".", regex=False).any() else 1
            part = part[values * scale >= score]
        parts.append(part.drop(columns="combinedscore", errors="ignore"))
    found = _edges(pd.concat(parts))
    return _renamed(found, _protein_names(path, names))


def read_edges(path: Path) -> Table:
    """Read a list of edges: two columns or more, parted by tabs, commas, semicolons or blanks.

    A first line that names a source and a target column says which they are, and may name one with
    signs; otherwise the first two columns count.
    """
    line = first_lines(path, 1)[0]
    separator = next((mark for mark in "\t,;" if mark in line), r"\s+")
    header = [_plain(cell) for cell in re.split(separator, line.strip())]
    source = next((header.index(name) for name in _SOURCES if name in header), None)
    target = next((header.index(name) for name in _TARGETS if name in header), None)
    sign = next((header.index(name) for name in _SIGN if name in header), None)
    named = source is not None and target is not None
    order = {source: "source", target: "target", sign: "sign"} if named else {}
    order = {i: name for i, name in order.items() if i is not None} or {0: "source", 1: "target"}
    table = _csv(path, sep=separator, header=0 if named else None, usecols=list(order), quoting=0)
    table.columns = [order[i] for i in sorted(order)]
    return _edges(table[[name for name in ("source", "target", "sign") if name in table]])


READERS: Mapping[str, Callable[..., Table]] = {
    "trrust": read_trrust,
    "regnetwork": read_regnetwork,
    "gmt": read_gmt,
    "corum": read_corum,
    "biogrid": read_biogrid,
    "string": read_string,
    "edges": read_edges,
}
UNDIRECTED = frozenset(("gmt", "corum", "biogrid", "string"))


def gene_sets(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Read a GMT file: name, description and members, separated by tabs; equal names are merged.

    Raises:
      DataError: a line has fewer than two columns, or the file is empty.
    """
    sets: dict[str, list[str]] = {}
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            cells = line.rstrip("\r\n").split("\t")
            if not line.strip():
                continue
            if len(cells) < 2:
                raise DataError(f"{str(path)!r} is not a GMT file: line {number} has one column")
            # Members may carry a weight: GENE,1.0
            sets.setdefault(cells[0], []).extend(_members(c.split(",")[0] for c in cells[2:]))
    if not sets:
        raise DataError(f"{str(path)!r} is empty")
    return sets


def _csv(path: Path, **options) -> pd.DataFrame:
    return pd.concat(list(_chunks(path, **options)))


def _chunks(path: Path, **options) -> Iterable[pd.DataFrame]:
    """Yield a table as text, many rows at a time (raises DataError)."""
    settings: dict[str, Any] = {"sep": "\t", "dtype": str, "keep_default_na": False}
    settings |= {"na_filter": False, "quoting": csv.QUOTE_NONE, "chunksize": _ROWS} | options
    with opened(path) as file:
        try:
            yield from pd.read_csv(file, **settings)
        except ValueError as error:  # pandas' own errors are ValueErrors
            raise DataError(f"{str(path)!r} cannot be read: {error}") from error


def _edges(table: pd.DataFrame) -> Table:
    """Name the columns, lower the case of signs, and drop rows that are not a pair of genes."""
    columns = [table.iloc[:, i].str.strip() for i in range(2)]
    sign = table["sign"].str.lower() if "sign" in table else ""
    edges = pd.DataFrame({"source": columns[0], "target": columns[1], "sign": sign})
    genes = frozenset(columns[0]) | frozenset(columns[1])
    whole = (edges["source"] != "") & (edges["target"] != "")
    edges = edges[whole & (edges["source"] != edges["target"])].drop_duplicates()
    return Table(edges.reset_index(drop=True), genes - {"", "-"})


def _pairs(groups: Iterable[list[str]]) -> Table:
    groups = [list(dict.fromkeys(group)) for group in groups]
    pairs = [pair for group in groups for pair in itertools.combinations(group, 2)]
    found = _edges(pd.DataFrame(pairs, columns=["source", "target"], dtype=str))
    return found._replace(genes=frozenset(itertools.chain.from_iterable(groups)))


def _members(cells: Iterable[str]) -> list[str]:
    return [cell.strip() for cell in cells if cell.strip()]


def _protein_names(path: Path, names: Path | None) -> dict[str, str]:
    if names is None:
        beside = re.sub(r"(physical\.)?links(\.detailed|\.full)?", "info", path.name)
        names = path.with_name(beside)
        if beside == path.name or not names.is_file():
            return {}
    table = _csv(names, usecols=[0, 1])
    return dict(zip(table.iloc[:, 0], table.iloc[:, 1], strict=True))


def _renamed(table: Table, names: Mapping[str, str]) -> Table:
    """Name proteins; those without a name keep their id without the organism number."""
    names = {gene: names.get(gene) or re.sub(r"^\d+\.", "", gene) for gene in table.genes}
    edges = table.edges.assign(
        source=table.edges["source"].map(names), target=table.edges["target"].map(names)
    )
    return Table(edges, frozenset(names.values()))


def _plain(name: str) -> str:
    """Return the letters and digits of a column name in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
