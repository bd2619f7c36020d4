"""From the name of a gene, as a label spells it, to its var name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import pandas as pd

from gpo_vae_jax.data.gene_names import gene_aliases, is_missing

_VERSIONED = re.compile(r"^(ENS[A-Z]*G\d+)\.\d+$")
_VERSION_LENGTH = 4  # of an Ensembl id, with its point
_PARTS = re.compile(r"[\s|;:,_+/&()-]+")
_DATE = re.compile(r"^(?:(\d{1,2})-([A-Za-z]{3})|([A-Za-z]{3})-(\d{1,2}))$")
_MONTHS = {
    "mar": ("MARCHF", "MARCH", "MARC", "MTARC"),
    "sep": ("SEPTIN", "SEPT", "SEP"),
    "dec": ("DELEC", "DEC"),
    "oct": ("POU5F", "OCT"),
}  # what a spreadsheet turns into dates
_CLOSE = 0.7  # similarity of names that are proposed
_MOST_COMPARED = 5  # names for which similar ones are sought: it takes a pass over all genes


class GeneLookup:
    """The measured genes under every name they go by.

    A name is sought as it is, in other columns of var, without the version of an Ensembl id, and in
    another case, in this order. A name that several genes share in one of these is not found by it.
    """

    def __init__(self, var: pd.DataFrame, key: str = ""):
        """Read the names (raises DataError if `var` has no column `key`)."""
        self.names = [str(name) for name in var.index]
        self.own = set(self.names)
        self.aliases = gene_aliases(var, key)
        exact = {name: name for name in self.names} | self.aliases
        self.longest = max(map(len, exact), default=0) + _VERSION_LENGTH
        self._by_id = _unique((_without_version(name), gene) for name, gene in exact.items())
        self._by_case = _unique((name.strip().casefold(), gene) for name, gene in exact.items())

    def find(self, name: str) -> tuple[str, str]:
        """Return the var name and how it was found: "", "version" or "case"; ("", "") if not."""
        name = name.strip()
        if len(name) > self.longest:
            return "", ""
        if is_missing(name) and name not in self.own:
            return "", ""
        if name in self.own:
            return name, ""
        if name in self.aliases:
            return self.aliases[name], ""
        gene = self._by_id.get(_without_version(name))
        if gene:
            return gene, "version"
        gene = self._by_case.get(name.casefold())
        return (gene, "case") if gene else ("", "")

    def __contains__(self, name: str) -> bool:
        """Return whether a name is found."""
        return bool(self.find(name)[0])

    def nearest(self, name: str) -> list[str]:
        """Return up to two genes that may have been meant: dates, parts of it, similar names."""
        match = _DATE.match(name.strip())
        if match:
            day, month = match[1] or match[4], (match[2] or match[3]).lower()
            dated = [f"{start}{int(day)}" for start in _MONTHS.get(month, ())]
            found = [gene for gene, _ in map(self.find, dated) if gene]
            if found:
                return list(dict.fromkeys(found))[:2]
        parts = [gene for part in _PARTS.split(name) if (gene := self.find(part)[0])]
        if parts:
            return list(dict.fromkeys(parts))[:2]
        by_fold = {other.casefold(): other for other in [*self.aliases, *self.names]}
        close = difflib.get_close_matches(name.casefold(), by_fold, n=2, cutoff=_CLOSE)
        return [by_fold[fold] for fold in close]

    def proposals(self, names: Iterable[str]) -> str:
        """Return the nearest names of the first few names as the end of a message, or ""."""
        said = []
        for name in sorted(names)[:_MOST_COMPARED]:
            near = self.nearest(name)
            if near:
                said.append(f"{name!r} may be {' or '.join(map(repr, near))}")
        return f"; {', '.join(said)}" if said else ""


def _without_version(name: str) -> str:
    match = _VERSIONED.match(name)
    return match[1] if match else name


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return other name -> gene, without the names that several genes share."""
    found: dict[str, str] = {}
    ambiguous = set()
    for other, gene in pairs:
        if found.setdefault(other, gene) != gene:
            ambiguous.add(other)
    return {other: gene for other, gene in found.items() if other not in ambiguous}
