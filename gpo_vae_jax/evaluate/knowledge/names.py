"""Matching of gene names from other sources to treatments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

_VERSIONED = re.compile(r"^(ENS[A-Z]*[GTP]\d+)\.\d+$", re.IGNORECASE)
_NONE: Mapping[str, str] = {}


def without_version(name: str) -> str:
    """Drop the version of an Ensembl id: ENSG00000141510.17 becomes ENSG00000141510."""
    return _VERSIONED.sub(r"\1", name)


def positions(
    names: Iterable[str], treatments: Sequence[str], aliases: Mapping[str, str] = _NONE
) -> dict[str, int]:
    """Return the position in [0, T) of the treatment that each name refers to.

    A name is looked up among the treatments, then among their aliases, then in both ignoring case;
    a spelling that then matches several treatments refers to none. Versions of Ensembl ids are
    ignored. Names that match nothing are left out.

    Args:
      names: of genes.
      treatments: T names.
      aliases: other name -> gene, as in `Dataset.conventions`.
    """
    at = {str(name): i for i, name in enumerate(treatments)}
    short = _unique((without_version(name), i) for name, i in at.items())
    other = {str(alias): at.get(str(gene), -1) for alias, gene in aliases.items()}
    exact = _unique((without_version(name), i) for name, i in other.items()) | other | short | at
    folded = _unique((name.casefold(), i) for name, i in exact.items())
    found = {}
    for name in map(str, names):
        plain = without_version(name)
        i = exact.get(name, exact.get(plain))
        i = folded.get(plain.casefold(), -1) if i is None else i
        if i >= 0:
            found[name] = i
    return found


def _unique(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Keep the names with exactly one position."""
    found: dict[str, int] = {}
    ambiguous = set()
    for name, i in pairs:
        if found.setdefault(name, i) != i:
            ambiguous.add(name)
    return {name: i for name, i in found.items() if name not in ambiguous}
