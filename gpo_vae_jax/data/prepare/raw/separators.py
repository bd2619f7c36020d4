"""What joins the names of a combination, where it is not what the settings say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

CANDIDATES = (" || ", "||", ",", ";", "|", "&", "/", "__", "_", ":", "-", ".")
_INSIDE_NAMES = ("_", ":", "-", ".")  # these need two labels that name two genes
_ENOUGH = 0.5  # share of the labels with the separator that must name two genes

Read = Callable[[str], str]  # from a name to a var name; "" where it is none


def find_separator(labels: Iterable[str], read: Read) -> tuple[str, list[str]]:
    """Return what joins known genes in the labels, and those labels; ("", []) if nothing does.

    A separator counts if at least half of the labels that contain it name two genes.

    Args:
      labels: distinct labels that are neither a gene nor a control.
      read: looks up a gene under any name, or a control as any text that is no gene.
    """
    labels = list(labels)
    best: tuple[str, list[str]] = "", []
    for separator in CANDIDATES:
        having = [label for label in labels if separator in label]
        joined = [label for label in having if names_two(label.split(separator), read)]
        least = max(2 if separator in _INSIDE_NAMES else 1, _ENOUGH * len(having))
        if len(joined) >= least and len(joined) > len(best[1]):
            best = separator, joined
    return best


def names_two(parts: Sequence[str], read: Read) -> bool:
    """Return whether all parts of a label are known and at least two are different genes."""
    found = set()
    for part in parts:
        gene = read(part)
        if not gene:
            return False
        found.add(gene)
    return len(found) > 1


def names_several(label: str, read: Read) -> bool:
    """Return whether a label names two genes under any separator."""
    return any(names_two(label.split(sep), read) for sep in CANDIDATES if sep in label)
