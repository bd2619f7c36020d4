"""Several AnnData of one screen as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from gpo_vae_jax.data.prepare.raw.features import TYPE_COLUMNS
from gpo_vae_jax.data.prepare.reading.guide_assignment import (
    GUIDE_COUNTS,
    guide_block,
    keep_guides,
)
from gpo_vae_jax.data.prepare.reading.tenx import sample_of
from gpo_vae_jax.errors import DataError, listed

BATCH = "batch"  # obs column of the file that a cell is from
_LEAST_SHARED = 0.5  # share of the genes of the smallest file that all files must have
_ENDINGS = (".gz", ".h5ad", ".h5mu", ".h5", ".loom", ".zarr", ".mtx")


def joined(
    parts: Sequence[anndata.AnnData], paths: Sequence[Path]
) -> tuple[anndata.AnnData, list[str]]:
    """Join files by the names of their genes; only genes of all files stay, but every guide does.

    Guides that a file lacks are 0 in its cells: all are put beside the genes (`keep_guides`).
    obs["batch"] has the name of each cell's file, unless all files have such a column. Cell names
    that occur in several files get that name as a suffix.

    Raises:
      DataError: the names of cells are not unique within a file, files have few genes in common, or
        one of them does not say which of its features are guides.
    """
    names = _names(paths)
    for part, path in zip(parts, paths, strict=True):
        if not part.var_names.is_unique:
            part.var_names_make_unique()
        if not part.obs_names.is_unique:
            raise DataError(f"{str(path)!r}: cell names are not unique")
    blocks = [guide_block(part) for part in parts]
    guides = set().union(*(block[1] for block in blocks if block))
    _check_types(parts, blocks, paths)
    genes = [set(map(str, part.var_names)) - guides for part in parts]
    shared = genes[0].intersection(*genes[1:])
    fewest = min(map(len, genes))
    if len(shared) < _LEAST_SHARED * fewest:
        raise DataError(
            f"the files share {len(shared):,} of {fewest:,} gene names; {names[0]} has "
            f"{listed(parts[0].var_names, 3)}, {names[-1]} has {listed(parts[-1].var_names, 3)}; "
            "use ids or symbols in all of them"
        )
    said = [f"{len(parts)} files are joined: {listed(names, 6)}"]
    apart = len(set().union(*genes) - shared)
    if apart:
        said.append(f"{apart:,} genes are not in all files, and are left out")
    if guides:
        parts = [_without_block(part) for part in parts]
    clash = sum(part.n_obs for part in parts) > len(set().union(*(p.obs_names for p in parts)))
    result = anndata.concat(
        dict(zip(names, parts, strict=True)),
        join="inner",
        merge="same",
        uns_merge="same",
        label=None if all(BATCH in part.obs for part in parts) else BATCH,
        index_unique="-" if clash else None,
    )
    if guides:
        keep_guides(result, *_every_guide(blocks, parts))
        _keep_types(result, parts)
    missing = sorted({str(c) for part in parts for c in part.obs} - set(map(str, result.obs)))
    if missing:
        said.append(f"columns of obs that not all files have are left out: {listed(missing, 5)}")
    return result, said


def _names(paths: Sequence[Path]) -> list[str]:
    """Return a distinct name for each file: its own, or with its folder."""
    paths = [sample_of(path.absolute()) for path in paths]
    stems = [_stem(path) for path in paths]
    depth = 1
    while len(set(stems)) < len(stems) and depth < 4:
        stems = [
            "/".join([*(part.name for part in reversed(list(path.parents)[:depth])),
                      _stem(path)])
            for path in paths
        ]  # fmt: skip
        depth += 1
    if len(set(stems)) < len(stems):
        raise DataError(f"a file is named twice: {listed(set(map(str, paths)))}")
    return stems


def _stem(path: Path) -> str:
    """Return the name of a file without what only says its format."""
    name = path.name
    while name.endswith(_ENDINGS):
        name = name.removesuffix(Path(name).suffix)
    return name.removesuffix("matrix").strip("_.-") or path.name


def _without_block(part: anndata.AnnData) -> anndata.AnnData:
    """Return a file without the guides beside its genes, whose columns may differ by file."""
    if GUIDE_COUNTS not in part.obsm:
        return part
    part = part.copy()
    del part.obsm[GUIDE_COUNTS]
    return part


def _every_guide(
    blocks: Sequence[tuple[sparse.csr_matrix, list[str]] | None], parts: Sequence[anndata.AnnData]
) -> tuple[sparse.csr_matrix, list[str]]:
    """Return the counts of all guides in all cells, and their names."""
    names = list(dict.fromkeys(name for block in blocks if block for name in block[1]))
    rows = []
    for block, part in zip(blocks, parts, strict=True):
        counts, own = block or (sparse.csr_matrix((part.n_obs, 0)), [])
        columns = pd.Index(names).get_indexer(pd.Index(own, dtype=object))
        place = sparse.csr_matrix(
            (np.ones(len(own)), (np.arange(len(own)), columns)), shape=(len(own), len(names))
        )
        rows.append(sparse.csr_matrix(counts @ place))
    return sparse.csr_matrix(sparse.vstack(rows)), names


def _keep_types(result: anndata.AnnData, parts: Sequence[anndata.AnnData]) -> None:
    """Keep the types of features where one of the files does not have them."""
    for part in parts:
        var = cast(pd.DataFrame, part.var)
        for column in (str(name) for name in var if str(name).lower() in TYPE_COLUMNS):
            if column not in result.var:
                result.var[column] = var[column].reindex(result.var_names)


def _check_types(
    parts: Sequence[anndata.AnnData],
    blocks: Sequence[tuple[sparse.csr_matrix, list[str]] | None],
    paths: Sequence[Path],
) -> None:
    """Refuse a file whose guides only the types of another file reveal (raises DataError)."""
    typed = {
        name
        for part, block in zip(parts, blocks, strict=True)
        if block and GUIDE_COUNTS not in part.obsm
        for name in block[1]
    }
    for part, block, path in zip(parts, blocks, paths, strict=True):
        known = [] if block else sorted(typed.intersection(part.var_names))
        if known:
            raise DataError(
                f"{str(path)!r} has features that are guides in another file "
                f"({listed(known, 3)}), but no var['feature_types'] that says so; add that column"
            )
