"""The guide of each cell, from the counts of guides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, cast

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.prepare.raw.features import TYPE_COLUMNS
from gpo_vae_jax.data.sparse_rows import check_parts

GUIDE_COUNTS = "guide_counts"  # obsm: counts of guides, [N, K]
GUIDE_NAMES = "guide_names"  # uns: their K names
ASSIGNED = "assigned_guide"  # obs: the guide of each cell
NONE, SEVERAL = "unassigned", "multiplet"
_GUIDE_TYPE = re.compile(r"crispr|guide|[sg]rna|gdo|protospacer|custom", re.IGNORECASE)


class Assigned(NamedTuple):
    """The guides of N cells."""

    labels: np.ndarray  # [N] the name of the guide, "unassigned" or "multiplet"
    said: str  # how many cells have one guide, none, several


def assign_guides(
    counts: count_matrix.CountMatrix, names: Sequence[str], *, least: int, share: float
) -> Assigned:
    """Return the dominant guide of each cell.

    A guide is dominant if it has at least `least` UMIs, at least a `share` of all UMIs of guides in
    the cell, and more than half of them. A cell without a guide of `least` UMIs is unassigned, any
    other a multiplet.

    Args:
      counts: [N, K] UMIs of guides.
      names: K guides.
      least: UMIs; 1 where there are no counts above 1, which are calls of guides.
      share: from 0.5 to 1.
    """
    counts = sparse.csr_matrix(counts)
    if counts.max() <= 1:  # calls, not UMIs
        least = 1
    total = np.asarray(counts.sum(axis=1), np.float64).ravel()
    most = np.asarray(counts.max(axis=1).todense()).ravel().astype(np.float64)
    best = np.asarray(counts.argmax(axis=1)).ravel()
    labels = np.asarray(names, dtype=object)[best]
    labels[(most < share * total) | (2 * most <= total)] = SEVERAL
    labels[most < least] = NONE
    labels = labels.astype(str)
    one, none = ~np.isin(labels, (NONE, SEVERAL)), labels == NONE
    n = len(labels)
    said = (
        f"guides are assigned by their counts: {one.sum():,} of {n:,} cells have one dominant "
        f"guide (at least {least} UMIs and {share:.0%} of the guide UMIs), {none.sum():,} none, "
        f"{n - one.sum() - none.sum():,} several; config.prepare.guide_min_umi and "
        "guide_min_share change that"
    )
    return Assigned(labels, said)


def keep_guides(adata: anndata.AnnData, counts: sparse.csr_matrix, names: Sequence[str]) -> None:
    """Put the counts of guides beside those of genes, for `guide_block`."""
    adata.obsm[GUIDE_COUNTS] = counts
    adata.uns[GUIDE_NAMES] = np.asarray(names, dtype=object)


def guide_block(adata: anndata.AnnData) -> tuple[sparse.csr_matrix, list[str]] | None:
    """Return the counts of guides and their names, or None if there are none.

    They are beside the genes (`keep_guides`), or those features of X whose type says so.
    """
    if GUIDE_COUNTS in adata.obsm and GUIDE_NAMES in adata.uns:
        return sparse.csr_matrix(adata.obsm[GUIDE_COUNTS]), [*map(str, adata.uns[GUIDE_NAMES])]
    var = cast(pd.DataFrame, adata.var)
    for column in (name for name in var if str(name).lower() in TYPE_COLUMNS):
        is_guide = var[column].astype(str).map(lambda text: bool(_GUIDE_TYPE.search(text)))
        at = np.flatnonzero(is_guide.to_numpy(bool))
        if len(at) and not is_guide.all():
            try:
                values = adata.X
            except KeyError:  # of a file without X, on disk
                values = None
            if values is None:
                return None
            check_parts(values, "X")
            matrix = count_matrix.by_rows(values)
            rows = count_matrix.row_chunks(matrix.shape)
            parts = [sparse.csr_matrix(matrix[part][:, at]) for part in rows]
            return sparse.csr_matrix(sparse.vstack(parts)), [*map(str, var.index[at])]
    return None
