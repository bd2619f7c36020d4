"""Cells whose perturbation is not known: no label, or a word that says so."""

from __future__ import annotations

import re
from collections.abc import Collection

from gpo_vae_jax.data.gene_names import is_missing

UNKNOWN = "unknown"  # the perturbation of such cells where they are kept
_WORDS = re.compile(
    r"^(?:un(?:assigned|known|labell?ed|mapped|determined|called)"
    r"|not?[-_. ](?:assigned|known|called|determined|call|guides?|sgrnas?|grnas?|label"
    r"|perturbation[-_. ]call)|multiplets?|multiple"
    r"|doublets?|ambiguous|ambig|undefined|missing|multi[-_. ]?guides?)$",
    re.IGNORECASE,
)


def says_nothing(label: str, genes: Collection[str] = ()) -> bool:
    """Return whether a label is a word for "not known", such as unassigned or nan, and no gene."""
    label = label.strip()
    return label not in genes and (is_missing(label) or bool(_WORDS.match(label)))
