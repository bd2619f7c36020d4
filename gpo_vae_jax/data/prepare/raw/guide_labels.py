"""Labels that name a guide rather than a gene: GENE_sg1, GENE-3, GENE|ENSG...|P1P2."""

from __future__ import annotations

import re
from collections.abc import Callable

_JOINT = r"[\s|;:,_.()\-]"
_PREFIXES = (  # before the gene: p_sgGATA1_1 (Dixit 2016), sgGATA1_1, 3273_GATA1_P1P2 (Replogle)
    re.compile(r"^(?:[pcm]_)?(?:sgrna|grna|guide|sg|cr)[-_ ]?(?=\w)", re.IGNORECASE),
    re.compile(r"^(?:[pcm]|\d+)_(?=\w)"),
)
_TIGHT = re.compile(r"^(.+?)(?:sg|g)\d{1,2}$")  # GENEg2
_CUTS = re.compile(_JOINT)
_DOSE = r"\d+(?:\.\d+)?\s?(?:[pnuµm]?M|[pnuµm]?g|h|hr|hrs|d|days?|x|%)"
_WORDS = (
    *("ko", "kd", "oe", "ki", "act", "rep", "inh", "up", "down", "mut", "low", "high"),
    *("crispri", "crispra", "crispr", "knockout", "knockdown", "knockin", "overexpression"),
    *("activation", "repression", "inhibition", "interference", "overexpressed", "het", "hom"),
)
_TOKEN = re.compile(
    rf"(?P<dose>{_DOSE}(?![A-Za-z0-9]))"
    r"|(?P<decimal>\d+\.\d+)"
    r"|(?P<strand>[+-](?=_))"
    rf"|(?P<joint>{_JOINT}+)"
    r"|(?P<word>[^\s|;:,_.()\-]+)"
)
_GUIDE = re.compile(
    r"^(?:(?:sgrna|sg|grna|g|guide|cr|oligo|sh|si|rep|p|ps|pos)?(?:\d{1,2}|0\d+)[a-z]?"
    r"|(?:p[12])+|p?(?:ds|ba)\d{3}|[acgt]{15,30}|ens[a-z]*[gt]\d+|nm|chr[\dxym]+|sgrna|sg|grna|guide|ctrl)$",
    re.IGNORECASE,
)
_LONG_NUMBER = re.compile(r"^\d+$")  # a coordinate, where there is a strand

Find = Callable[[str], str]  # from a name to a var name, "" where there is none


def gene_of_guide(label: str, find: Find, longest: int = 100) -> str:
    """Return the var name of the gene of a guide label; "" if it is not read as one.

    What follows the name of the gene must be the number, sequence, promoter or position of a guide,
    another name of the gene, or what was done to it (KO, OE, a dose: see `variant_of`). The longest
    beginning that is a known gene counts.

    Args:
      label: which is itself no gene.
      find: looks up a gene.
      longest: the most letters of a name that it knows.
    """
    whole = label.strip()
    for text in dict.fromkeys((whole, *(prefix.sub("", whole) for prefix in _PREFIXES))):
        if text != whole and find(text):
            return find(text)
        for cut in reversed([match.start() for match in _CUTS.finditer(text, 0, longest + 1)]):
            gene = find(text[:cut])
            if gene and _is_rest(text[cut:], gene, find):
                return gene
        tight = _TIGHT.match(text)
        if tight and find(tight[1]):
            return find(tight[1])
    return ""


def variant_of(label: str) -> str:
    """Return what was done to the gene, as a label says it: "ko", "oe", "0.1", "10nm"; or ""."""
    found, stranded = [], False
    for token in _TOKEN.finditer(label):
        kind, text = token.lastgroup, token[0]
        stranded |= kind == "strand"
        if kind == "dose" or (kind == "decimal" and not stranded):
            found.append(text.replace(" ", "").lower())
        elif kind == "word" and token.start() and text.lower() in _WORDS:
            found.append(text.lower())
    return "_".join(found)


def _is_rest(rest: str, gene: str, find: Find) -> bool:
    """Return whether the rest of a label is all about a guide of this gene."""
    stranded = False
    for token in _TOKEN.finditer(rest):
        kind, text = token.lastgroup, token[0]
        stranded |= kind == "strand" or bool(re.match(r"^chr", text, re.IGNORECASE))
        if kind in ("dose", "decimal", "strand", "joint"):
            continue
        found = find(text)
        if found and found != gene:
            return False
        known = found or _GUIDE.match(text) or text.lower() in _WORDS
        if not known and not (stranded and _LONG_NUMBER.match(text)):
            return False
    return True
