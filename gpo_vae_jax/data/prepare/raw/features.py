"""The columns of the count matrix: which are genes, and symbols that several of them have."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata.utils import make_index_unique

from gpo_vae_jax.errors import DataError, listed

TYPE_COLUMNS = ("feature_types", "feature_type", "modality", "feature_class")
_GENES = re.compile(r"^(?:genes?|gene[ _-]?expression|gex|m?rna|transcripts?|transcriptome)$", re.I)
_GUIDE_NAME = re.compile(r"^(.+?)[-_. ](?:sg|sgrna|grna|guide)[-_ ]?\d+$", re.I)


class Features(NamedTuple):
    """The genes among F features."""

    genes: np.ndarray  # [G] their columns
    var: pd.DataFrame  # G rows, with unique names without blanks around them
    repeated: dict[str, list[str]]  # a name that several genes had -> their unique names
    said: tuple[str, ...]


def find_genes(var: pd.DataFrame) -> Features:
    """Return the features that are genes, by `var["feature_types"]` or by their names.

    Without such a column, only features named after a guide of another feature (GATA1_sg1 beside
    GATA1) are set aside.

    Raises:
      DataError: no feature is a gene.
    """
    names = [str(name).strip() for name in var.index]
    is_gene, note = _by_type(var)
    if not note:
        is_gene, note = _by_name(names)
    genes = np.flatnonzero(is_gene)
    if not len(genes) and len(names):
        raise DataError(note)
    kept = pd.Index([names[i] for i in genes], dtype=object)
    unique = pd.Index(make_index_unique(kept)) if not kept.is_unique else kept
    repeated: dict[str, list[str]] = defaultdict(list)
    for name, own in zip(kept, unique, strict=True):
        repeated[str(name)].append(str(own))
    repeated = {name: same for name, same in repeated.items() if len(same) > 1}
    said = [note] if note else []
    return Features(genes, var.iloc[genes].set_axis(unique), repeated, tuple(said))


def sums_of(
    features: Features, spelled: Collection[str], perturbed: Collection[str]
) -> tuple[list[list[int]], pd.DataFrame, list[str]] | None:
    """Return how genes of one symbol are added up where a perturbation names that symbol.

    Args:
      features: the genes.
      spelled: names as the labels spell them.
      perturbed: var names of the perturbed genes.

    Returns:
      For each gene that is left, the genes of `features` that it sums; its rows of var; and the
      symbols. None if no perturbed symbol is shared.
    """
    shared = sorted(name for name in features.repeated if name in perturbed and name in spelled)
    if not shared:
        return None
    position = {str(name): i for i, name in enumerate(features.var.index)}
    rest = {own for name in shared for own in features.repeated[name][1:]}
    kept = [i for i, name in enumerate(features.var.index) if str(name) not in rest]
    groups = [
        [position[own] for own in features.repeated[str(features.var.index[i])]]
        if str(features.var.index[i]) in shared
        else [i]
        for i in kept
    ]
    return groups, features.var.iloc[kept], shared


def repeated_note(features: Features, summed: Collection[str]) -> str:
    """Describe symbols that several genes share."""
    if not features.repeated:
        return ""
    apart = sorted(set(features.repeated) - set(summed))
    said = []
    if summed:
        said.append(f"counts of genes of one symbol are added up where it is perturbed: "
                    f"{listed(summed, 5)}")  # fmt: skip
    if apart:
        said.append(
            f"{len(apart)} symbols belong to several genes, which are kept apart: "
            f"{listed((' and '.join(features.repeated[name]) for name in apart), 3)}"
        )
    return "; ".join(said)


def _by_type(var: pd.DataFrame) -> tuple[np.ndarray, str]:
    """Return which features are genes by their type, and a note; "" if there is no such column."""
    every = np.ones(len(var), bool)
    for column in (name for name in var if str(name).lower() in TYPE_COLUMNS):
        kind = var[column].astype(str).str.strip()
        is_gene = kind.map(lambda text: bool(_GENES.match(text))).to_numpy(bool)
        if is_gene.all():
            return every, ""
        sizes = ", ".join(f"{n:,} {name}" for name, n in kind[~is_gene].value_counts().items())
        if is_gene.any():
            return is_gene, (f"only genes are counted: var[{column!r}] sets {sizes} aside")
        if str(column).lower() in TYPE_COLUMNS[:2]:
            return is_gene, f"no feature is a gene: var[{column!r}] has {sizes}"
    return every, ""


def _by_name(names: list[str]) -> tuple[np.ndarray, str]:
    """Return which features are not named after a guide of another one, and a note."""
    known = set(names)
    guide = np.zeros(len(names), bool)
    for i, name in enumerate(names):
        match = _GUIDE_NAME.match(name)
        guide[i] = bool(match) and match[1] in known
    if not guide.any():
        return ~guide, ""
    of_guides = [name for name, aside in zip(names, guide, strict=True) if aside]
    genes = {_GUIDE_NAME.match(name)[1] for name in of_guides}  # pyrefly: ignore
    more = [  # guides of the controls go with those of the genes
        i for i, name in enumerate(names)
        if not guide[i] and (match := _GUIDE_NAME.match(name)) and match[1] not in genes
    ]  # fmt: skip
    guide[more] = True
    return ~guide, (
        f"{int(guide.sum())} features are named as guides and set aside: "
        f"{listed((name for name, aside in zip(names, guide, strict=True) if aside), 4)}"
    )
