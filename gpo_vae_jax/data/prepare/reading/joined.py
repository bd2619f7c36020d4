"""Several AnnData of one screen as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anndata

from gpo_vae_jax.errors import DataError, listed

BATCH = "batch"  # obs column of the file that a cell is from
_LEAST_SHARED = 0.5  # share of the genes of the smallest file that all files must have


def joined(
    parts: Sequence[anndata.AnnData], paths: Sequence[Path]
) -> tuple[anndata.AnnData, list[str]]:
    """Join files by the names of their genes; only genes of all files stay.

    obs["batch"] has the name of each cell's file, unless the files have such a column. Cell names
    that occur in several files get that name as a suffix.

    Raises:
      DataError: the names of genes are not unique within a file, or files have few in common.
    """
    names = _names(paths)
    for part, path in zip(parts, paths, strict=True):
        if not part.var_names.is_unique:
            part.var_names_make_unique()
        if not part.obs_names.is_unique:
            raise DataError(f"{str(path)!r}: cell names are not unique")
    shared = set(parts[0].var_names).intersection(*(part.var_names for part in parts[1:]))
    fewest = min(part.n_vars for part in parts)
    if len(shared) < _LEAST_SHARED * fewest:
        raise DataError(
            f"the files share {len(shared):,} of {fewest:,} gene names; {names[0]} has "
            f"{listed(parts[0].var_names, 3)}, {names[-1]} has {listed(parts[-1].var_names, 3)}; "
            "use ids or symbols in all of them"
        )
    said = [f"{len(parts)} files are joined: {listed(names, 6)}"]
    every = max(part.n_vars for part in parts)
    if len(shared) < every:
        said.append(f"{every - len(shared):,} genes are not in all files, and are left out")
    columns = [BATCH in part.obs for part in parts]
    clash = sum(part.n_obs for part in parts) > len(set().union(*(p.obs_names for p in parts)))
    result = anndata.concat(
        dict(zip(names, parts, strict=True)),
        join="inner",
        merge="same",
        uns_merge="same",
        label=None if any(columns) else BATCH,
        index_unique="-" if clash else None,
    )
    missing = sorted({str(c) for part in parts for c in part.obs} - set(map(str, result.obs)))
    if missing:
        said.append(f"columns of obs that not all files have are left out: {listed(missing, 5)}")
    return result, said


def _names(paths: Sequence[Path]) -> list[str]:
    """Return a distinct name for each file: its own, or with its folder."""
    stems = [path.name.split(".")[0] for path in paths]
    depth = 1
    while len(set(stems)) < len(stems) and depth < 4:
        stems = [
            "/".join([*(part.name for part in reversed(list(path.absolute().parents)[:depth])),
                      path.name.split(".")[0]])
            for path in paths
        ]  # fmt: skip
        depth += 1
    if len(set(stems)) < len(stems):
        raise DataError(f"a file is named twice: {listed(set(map(str, paths)))}")
    return stems
