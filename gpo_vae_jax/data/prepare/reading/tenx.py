"""The files of 10x's cellranger: an HDF5 file, or a folder with a matrix, barcodes and features."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from gpo_vae_jax.errors import DataError

_GEM_GROUP = re.compile(r"-(\d+)$")
_FILTERED = ("filtered_feature_bc_matrix", "sample_filtered_feature_bc_matrix")
_LEGACY = "filtered_gene_bc_matrices"  # of version 2: a folder for each genome
_FOLDERS = (*_FILTERED, _LEGACY, "outs", "count")
_MATRIX = re.compile(r"matrix\.mtx(\.gz)?$")
GEM_GROUP = "gem_group"  # obs column of the number behind a barcode


def read_tenx_h5(path: Path) -> anndata.AnnData:
    """Read all features of cellranger's HDF5 file, of version 2 or 3.

    Raises:
      DataError: a field is missing; the message says which.
    """
    import scanpy

    try:
        adata = scanpy.read_10x_h5(path, gex_only=False)
    except (KeyError, Exception) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{str(path)!r} is an HDF5 file of 10x that scanpy.read_10x_h5 cannot read: {reason}"
        ) from error
    return with_gem_groups(adata)


def read_tenx_folder(path: Path) -> anndata.AnnData:
    """Read all features of a matrix folder, of version 2 (genes.tsv) or 3 (features.tsv.gz).

    The three files may be packed or not, and share a prefix, as in GEO's archives.

    Args:
      path: the folder, or its matrix file, which tells matrices of several prefixes apart.

    Raises:
      DataError: a file is missing, there are several matrices, or sizes do not fit.
    """
    from scipy.io import mmread

    folder = path.parent if path.is_file() else matrix_folder(path)
    if folder is None:
        raise DataError(f"{str(path)!r} has no matrix.mtx or matrix.mtx.gz")
    matrices = [path]
    if path.is_dir():
        matrices = sorted(file for file in folder.iterdir() if _MATRIX.search(file.name))
    if len(matrices) > 1:
        names = ", ".join(file.name for file in matrices)
        raise DataError(
            f"{str(folder)!r} has several matrices: {names}; name these files instead of the folder"
        )
    prefix = _MATRIX.sub("", matrices[0].name)
    features = _table(folder, prefix, "features.tsv", "genes.tsv")
    barcodes = _table(folder, prefix, "barcodes.tsv")
    with _opened(matrices[0]) as file:
        counts = sparse.csr_matrix(mmread(file).T)
    if counts.shape != (len(barcodes), len(features)):
        raise DataError(
            f"{str(folder)!r}: the matrix has {counts.shape[1]} features and {counts.shape[0]} "
            f"cells, but there are {len(features)} names of features and {len(barcodes)} barcodes"
        )
    var = pd.DataFrame({"gene_ids": features[0].to_numpy()})
    var.index = pd.Index(features[1 if 1 in features else 0].astype(str).to_numpy())
    if 2 in features:
        var["feature_types"] = features[2].to_numpy()
    obs = pd.DataFrame(index=pd.Index(barcodes[0].astype(str).to_numpy()))
    return with_gem_groups(anndata.AnnData(counts, obs, var))


def matrix_folder(path: Path) -> Path | None:
    """Return the folder with a matrix: `path`, or one inside it by cellranger's names."""
    if any(_MATRIX.search(file.name) for file in path.iterdir() if file.is_file()):
        return path
    for name in _FOLDERS:
        inside = path / name
        if inside.is_dir():
            return matrix_folder(inside)
    inside = [folder for folder in path.iterdir() if folder.is_dir()]
    if path.name == _LEGACY and len(inside) == 1:
        return matrix_folder(inside[0])
    return None


def is_matrix(path: Path) -> bool:
    """Return whether a file is called as the matrix of a folder."""
    return bool(_MATRIX.search(path.name))


def h5_within(path: Path) -> Path | None:
    """Return the filtered HDF5 file in an output folder of cellranger, if there is one."""
    places = (path, path / "outs", path / "count", path / "outs" / "count")
    files = (place / f"{name}.h5" for place in places for name in _FILTERED)
    return next((file for file in files if file.is_file()), None)


def sample_of(path: Path) -> Path:
    """Return the path that names the sample: without what cellranger calls alike in all."""
    while path.name.split(".")[0] in (*_FOLDERS, "matrix") and path.parent.name:
        path = path.parent
    return path


def with_gem_groups(adata: anndata.AnnData) -> anndata.AnnData:
    """Add the GEM groups of barcodes such as ACGT-2 as an obs column, if there are several."""
    found = [_GEM_GROUP.search(str(name)) for name in adata.obs_names]
    if all(found) and len({match[1] for match in found if match}) > 1:
        groups = np.array([match[1] if match else "" for match in found])
        adata.obs[GEM_GROUP] = pd.Categorical(groups)
    return adata


def _table(folder: Path, prefix: str, *names: str) -> pd.DataFrame:
    for name in names:
        for file in (folder / f"{prefix}{name}", folder / f"{prefix}{name}.gz"):
            if file.is_file():
                return pd.read_csv(
                    file, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=3
                )
    raise DataError(f"{str(folder)!r} has a matrix but no {prefix}{names[0]} or {names[0]}.gz")


def _opened(file: Path):
    return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")
